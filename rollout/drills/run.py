"""One drill on one path: fault on, watch, fault off, watch it heal; a journal of all of it.

The fault ends by whichever comes first: its duration, its blast radius, an abort condition, the
deadline, a kill, a person. Should this process die, the plan's expiry ends it. The ledger may be
away for a while (some faults do that): the watch goes on, and the journal is written later.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from rollout.drills.drill import Drill
from rollout.drills.healing import Healing
from rollout.drills.journal import Journal
from rollout.drills.ports import DrillLedger
from rollout.drills.score import Result, Score, last_finished, score_of, struck_at
from rollout.drills.steady import Normal
from rollout.errors import ControlStoreUnreachable, LedgerUnreachable, RolloutError
from rollout.evidence.sample import PathSample
from rollout.jobs.claims import JobRecord
from rollout.jobs.way import read_way
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath
from rollout.routing.ports import ControlStore
from rollout.routing.rule import Reading
from rollout.routing.stages import Stage

log = structlog.get_logger("rollout.drill")

POLL_S_MAX = 0.5
_ROUNDED = timedelta(milliseconds=1)
"""A way counts whole milliseconds."""


class Injector(Protocol):
    """What breaks something, and mends it again.

    `external` says that no worker marks the jobs that it hurts: the runner marks those that fail.
    """

    external: bool

    def on(self, drill_id: str, path: JobPath, until: datetime) -> None:
        """Put the fault in force, until then at the latest."""
        ...

    def off(self) -> Mapping[str, Any]:
        """End it, and say what is to be said; doing it twice does no harm."""
        ...

    def finished(self) -> bool:
        """Whether it is over by itself."""
        ...

    def gone(self) -> bool:
        """Whether somebody else has ended it before its time."""
        ...


class DrillRun:
    """One drill on one path, from the fault on to its score."""

    def __init__(
        self,
        drill: Drill,
        drill_id: str,
        path: JobPath,
        normal: Normal,
        injector: Injector,
        ledger: DrillLedger,
        control: ControlStore,
        clock: Clock,
        journal: Journal,
        open_jobs: Callable[[], int],
    ) -> None:
        self._drill = drill
        self._id = drill_id
        self._path = path
        self._normal = normal
        self._injector = injector
        self._ledger = ledger
        self._control = control
        self._clock = clock
        self._journal = journal
        self._open_jobs = open_jobs
        self._on = False
        self._healing: Healing | None = None
        self._jobs: list[JobRecord] = []
        self._told: dict[str, int] = {}
        self._last: PathSample | None = None
        self._other_outside = 0
        self._aborted: str | None = None
        self._began_at = clock.now()
        self._window_from = self._began_at
        self._stage: tuple[Stage, int] | None = None

    def run(self) -> Score:
        """Do it. Raises what the injector raises when nothing was begun; the fault is off then."""
        drill, began = self._drill, self._clock.now()
        self._began_at = self._window_from = began
        self._fault_until = began + timedelta(seconds=drill.duration_s)
        self._deadline = began + timedelta(seconds=drill.deadline_s)
        self._stage = _stage_of(self._control.read(drill.sub_pipeline))
        self._ledger.begin_span(drill.sub_pipeline, self._id, began, self._deadline)
        try:
            self._journal.write("fault on", fault=str(drill.fault), until=_iso(self._fault_until))
            self._on = True
            self._begin_fault()
            recovered_at = self._watch()
        except KeyboardInterrupt:
            self._aborted = "a person interrupted it"
            self._end_fault(self._aborted)
            self._close(None)
            raise
        finally:
            self._end_fault("the drill is over")
        return self._close(recovered_at)

    def _begin_fault(self) -> None:
        try:
            self._injector.on(self._id, self._path, self._fault_until)
        except RolloutError:
            self._on = False
            self._ledger.end_span(self._id, self._clock.now())
            raise

    # Watching ------------------------------------------------------------------------------

    def _watch(self) -> datetime | None:
        """Look until the path is healed or the deadline comes; when it was healed."""
        pause_s = min(POLL_S_MAX, self._drill.window_s / 4)
        while True:
            now = self._clock.now()
            try:
                self._look(now)
            except LedgerUnreachable as error:
                log.warning("ledger away, the drill goes on", why=str(error))
            else:
                if self._over():
                    return None
                if (healed := self._healed()) is not None:
                    return healed
            self._end_fault_when_due(now)
            if now >= self._deadline:
                return None
            self._clock.sleep(pause_s)

    def _look(self, now: datetime) -> None:
        if self._injector.external:
            path, since = self._path, self._began_at
            self._ledger.mark_victims(self._drill.sub_pipeline, path, self._id, since, now)
        self._jobs = self._ledger.drilled_jobs(self._id)
        self._tell_jobs()
        step = timedelta(seconds=self._drill.window_s)
        while now - self._window_from >= step:
            end = self._window_from + step
            self._take_in(self._ledger.window(self._drill.sub_pipeline, self._window_from, end))
            self._window_from = end
        self._journal.flush()
        if self._aborted is None:
            why = self._why_abort()
            if why is not None:
                self._aborted = why
                self._journal.write("aborted", why=why)
                self._end_fault(why)

    def _take_in(self, window: Mapping[JobPath, PathSample]) -> None:
        start, mine = self._window_from, window[self._path]
        self._last = mine
        why = self._normal.bands[self._path].why_outside(mine)
        self._journal.write(
            "window", mine.at, jobs=mine.jobs, failed=mine.failed, p95_s=mine.p95_s,
            oldest_s=mine.oldest_s, outside=why,
        )  # fmt: skip
        if self._healing is not None:
            if why is not None and self._healing.outside_at is None:
                self._journal.write("left the band", mine.at, why=why)
            self._healing = self._healing.observe(start, mine.at, why is not None, mine.jobs)
        for path, band in self._normal.bands.items():
            if path is not self._path:
                outside = band.why_outside(window[path]) is not None
                self._other_outside = self._other_outside + 1 if outside else 0

    def _tell_jobs(self) -> None:
        """Write what became of each hurt job since the last look, with the times of its way."""
        for record in self._jobs:
            lines = read_way(record.way)
            told = self._told.get(record.job_id, 0)
            for line in lines[told:]:
                if datetime.fromisoformat(line["at"]) < self._began_at - _ROUNDED:
                    continue
                at = datetime.fromisoformat(line["at"])
                facts = {name: value for name, value in line.items() if name not in ("at", "what")}
                what = f"job {line['what']}"
                self._journal.write(what[:40], at, job=record.job_id, **facts)
            self._told[record.job_id] = len(lines)
        if self._healing is None and self._injector.external:
            self._healing = Healing(self._began_at, self._drill.windows_inside)
        elif self._healing is None and self._jobs:
            onset = min(filter(None, map(struck_at, self._jobs)))
            self._healing = Healing(onset, self._drill.windows_inside)

    # Ending --------------------------------------------------------------------------------

    def _why_abort(self) -> str | None:
        drill, abort = self._drill, self._drill.abort
        reading = self._control.read(drill.sub_pipeline)
        if reading.killed or reading.killed_all or (reading.state and reading.state.killed):
            return "a kill came, and a kill ends every drill"
        if self._moved(reading):
            return "the stage or the scope was changed under the drill"
        if len(self._jobs) > drill.blast_radius_jobs:
            return f"{len(self._jobs)} jobs were hurt, over the blast radius"
        if self._on and self._gone():
            return "somebody stopped it"
        last = self._last
        if abort.failed_share_max is not None and last is not None and last.jobs:
            share = last.failed / last.jobs
            if share > abort.failed_share_max:
                return f"{share:.0%} of a window's jobs failed, over failed_share_max"
        if abort.waiting_jobs_max is not None and self._open_jobs() > abort.waiting_jobs_max:
            return f"more than {abort.waiting_jobs_max} jobs wait, over waiting_jobs_max"
        if abort.other_path_windows is not None and self._other_outside >= abort.other_path_windows:
            return f"the other path was outside its band {self._other_outside} windows in a row"
        return None

    def _moved(self, reading: Reading) -> bool:
        """Whether a revert or another change took the path's jobs away; a larger scope is one."""
        now = _stage_of(reading)
        if now is None or self._stage is None or now == self._stage:
            return False
        self._journal.write("reverted", stage=str(now[0]), scope_bp=now[1])
        self._stage = now
        return True

    def _gone(self) -> bool:
        try:
            return self._injector.gone()
        except ControlStoreUnreachable:
            return False  # then its expiry ends it

    def _end_fault_when_due(self, now: datetime) -> None:
        # A hurt job looks whether the plan is still there before the fault strikes, or while it
        # lasts: so the plan stays until all of them are done with it.
        full = len(self._jobs) >= self._drill.jobs_max
        if full and all(one.state.finished for one in self._jobs):
            self._end_fault("it has hurt as many jobs as it may")
        elif self._on and self._injector.finished():
            self._end_fault("it is over by itself")
        elif now >= self._fault_until:
            self._end_fault("its duration is over")
        elif now >= self._deadline:
            self._end_fault("the deadline is here")

    def _end_fault(self, why: str) -> None:
        if not self._on:
            return
        self._on = False
        said: Mapping[str, Any] = {}
        try:
            said = self._injector.off()
        except ControlStoreUnreachable as error:
            log.warning("the fault ends by its expiry", why=str(error))
        self._journal.write("fault off", why=why, **said)

    def _over(self) -> bool:
        """Whether there is nothing left to wait for without a recovery to measure."""
        if self._on:
            return False
        if not self._jobs and self._healing is None:
            return True
        return self._aborted is not None and all(one.state.finished for one in self._jobs)

    def _healed(self) -> datetime | None:
        if self._on or self._healing is None or self._aborted is not None:
            return None
        if not self._jobs:  # an outside fault that nobody failed under
            return self._healing.healed_at(self._healing.onset_at)
        return self._healing.healed_at(last_finished(self._jobs))

    def _close(self, recovered_at: datetime | None) -> Score:
        score = score_of(
            self._id,
            self._path,
            self._jobs,
            self._healing,
            recovered_at,
            self._drill.deadline_s,
            aborted=self._aborted,
            late=self._clock.now() >= self._deadline,
        )
        last = last_finished(self._jobs)
        if last is not None:
            self._journal.write("last hurt job finished", last)
        if score.recovered_at is not None:
            self._journal.write("back in the band", score.recovered_at)
        self._journal.write("ended", **score.facts())
        if score.result is not Result.NOT_HEALED:
            try:
                self._ledger.end_span(self._id, self._clock.now())
            except LedgerUnreachable as error:
                log.warning("the span ends at its deadline", why=str(error))
        return score


def _stage_of(reading: Reading) -> tuple[Stage, int] | None:
    return None if reading.state is None else (reading.state.stage, reading.state.scope_bp)


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
