"""The kill-switch drill: the real switch on one sub-pipeline, timed, lifted, and resumed.

Should this process die in the middle, the sub-pipeline stays killed: every job runs on legacy until
a person rearms it. A kill that somebody else makes meanwhile is left alone.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from rollout.control.change import Changes
from rollout.control.kill_report import KillReport
from rollout.drills.drill import Drill
from rollout.drills.errors import DrillRefused
from rollout.drills.journal import Journal
from rollout.drills.ports import DrillLedger
from rollout.drills.score import Result, Score, committed_twice
from rollout.errors import LedgerUnreachable, RolloutError, StaleRevision
from rollout.jobs.claims import JobRecord
from rollout.jobs.ports import Ledger
from rollout.jobs.way import read_way
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import ControlLedger
from rollout.routing.stages import ControlState, Event

log = structlog.get_logger("rollout.drill")

POLL_S = 0.1
"""Pause between two looks at what is still on the concurrent path."""
SETTLE_S = 0.5
"""Pause between two looks at the ways of all jobs, which cost more."""
CHANGES_MAX = 200
"""Changes among which the drill's own kill is looked for."""


class KillDrill:
    """Throws the switch, waits until the concurrent path is empty, lifts it, waits for a start.

    Args:
        changes: The same use case that `rollout kill` and `rollout rearm` call.
    """

    def __init__(
        self,
        drill: Drill,
        drill_id: str,
        changes: Changes,
        ledger: Ledger,
        jobs: DrillLedger,
        clock: Clock,
        journal: Journal,
        actor: str,
    ) -> None:
        self._drill = drill
        self._name = drill.sub_pipeline
        self._id = drill_id
        self._changes = changes
        self._ledger = ledger
        self._jobs = jobs
        self._clock = clock
        self._journal = journal
        self._actor = actor or "drill"
        self._aborted: str | None = None

    def run(self) -> Score:
        """Do it.

        Raises:
            DrillRefused: More jobs are on the concurrent path than may be hurt; nothing was done.
        """
        rest_s = self._drill.duration_s
        waiting = self._on_concurrent()
        if waiting > self._drill.blast_radius_jobs:
            raise DrillRefused(
                self._name,
                f"{waiting} jobs are on the concurrent path, over its blast radius of"
                f" {self._drill.blast_radius_jobs}",
                "throw the switch at a small scope, or raise blast_radius_jobs",
            )
        began = self._clock.now()
        deadline = began + timedelta(seconds=self._drill.deadline_s)
        self._jobs.begin_span(self._name, self._id, began, deadline)
        report = self._changes.kill(self._name, self._actor, f"drill {self._drill.name!r}")
        killed_at = self._clock.now()
        self._journal.write(
            "killed",
            killed_at,
            starts_blocked_ms=report.starts_blocked_ms,
            commits_fenced_ms=report.commits_fenced_ms,
        )
        times = Seen(began, killed_at, None)
        try:
            try:
                self._until(lambda: self._on_concurrent() == 0, deadline)
                self._until(lambda: (self._clock.now() - began).total_seconds() >= rest_s, deadline)
            finally:
                times = Seen(began, killed_at, self._rearm(report))
            self._until(lambda: self._settled(times), deadline, SETTLE_S)
        except KeyboardInterrupt:
            self._aborted = "a person interrupted it"
            with suppress(LedgerUnreachable):
                self._close(times, late=False)
            raise
        return self._close(times, late=self._clock.now() >= deadline)

    def _on_concurrent(self) -> int:
        return sum(
            count.jobs
            for count in self._ledger.open_counts()
            if count.name == self._name and count.path is JobPath.CONCURRENT
        )

    def _until(
        self, condition: Callable[[], bool], deadline: datetime, pause_s: float = POLL_S
    ) -> None:
        """Wait for it, at most until the deadline; a ledger that is away is asked again."""
        while self._clock.now() < deadline:
            try:
                if condition():
                    return
            except LedgerUnreachable as error:
                log.warning("ledger away, the drill goes on", why=str(error))
            self._clock.sleep(pause_s)

    def _rearm(self, report: KillReport) -> datetime | None:
        """Lift this drill's own kill; another's stays, also one that comes in this moment."""
        reason, lifted = f"drill {self._drill.name!r} is over", False
        try:
            while not lifted:
                state = self._ledger.control(self._name)
                others = kill_of_others(self._ledger, state, report.kill.kill_id)
                if others is not None:
                    self._stays_killed(others)
                    return None
                with suppress(StaleRevision):
                    self._changes.rearm(
                        self._name, self._actor, reason, seen_revision=state.revision
                    )
                    lifted = True
        except RolloutError as error:
            self._stays_killed(str(error))
            return None
        self._journal.write("rearmed")
        return self._clock.now()

    def _stays_killed(self, why: str) -> None:
        self._journal.write("not rearmed", why=why)
        self._aborted = f"it was not rearmed, {why}"

    def _settled(self, times: "Seen") -> bool:
        """Whether every job that was handed back is done, and a concurrent start came again."""
        lines = self._lines(times)
        done = all(record.state.finished for record in handed_back(lines, times))
        return done and (times.rearmed_at is None or resumed_at(lines, times) is not None)

    def _lines(self, times: "Seen") -> "Ways":
        records = self._jobs.jobs_since(self._name, times.began)
        return [(record, line) for record in records for line in read_way(record.way)]

    def _close(self, times: "Seen", *, late: bool) -> Score:
        ways = self._lines(times)
        moved = handed_back(ways, times)
        now = self._clock.now()
        for record in moved:
            self._jobs.mark_drilled(record.name, record.job_id, self._id, self._drill.fault, now)
        more = figures(ways, times)
        lost = sum(not record.state.finished for record in moved)
        if late and self._aborted is None:
            self._aborted = "it was not all over by the deadline, look at the status"
        score = Score(
            drill_id=self._id,
            path=JobPath.CONCURRENT,
            result=Result.DONE if self._aborted is None else Result.ABORTED,
            sentence=_sentence(more, self._aborted),
            onset_at=times.began,
            detection_s=more["first_start_refused_s"],
            recovery_s=more["resumed_s"],
            jobs_hurt=len(moved),
            jobs_lost=lost if late else 0,
            effects_twice=committed_twice(moved),
            more=more,
        )
        self._journal.write("ended", **score.facts())
        self._jobs.end_span(self._id, now)
        return score


def kill_of_others(ledger: ControlLedger, state: ControlState, own_id: str | None) -> str | None:
    """Say that a kill holds that is not this drill's; None where nothing else does.

    A second kill takes the place of the first, so one that came just before the drill's own can be
    seen in the log only; where that does not say so, the kill is left as it is.

    Args:
        ledger: Has the log.
        state: As it is now, killed.
        own_id: The drill's own kill; None for none.
    """
    if state.kill_id != own_id:
        return "somebody else has killed it meanwhile"
    for record in ledger.transitions(state.name, CHANGES_MAX):
        if record.event is Event.KILL and record.after.kill_id == own_id:
            return "somebody else had killed it just before" if record.before.killed else None
    return f"the drill's kill is not among the newest {CHANGES_MAX} changes"


@dataclass(frozen=True, slots=True)
class Seen:
    """When the kill began, was acknowledged, and was lifted (None: it was not)."""

    began: datetime
    killed_at: datetime
    rearmed_at: datetime | None


Ways = list[tuple[JobRecord, dict[str, Any]]]
"""Every line of every job's way, with its job."""


def _at(line: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(line["at"])


def handed_back(ways: Ways, times: Seen) -> list[JobRecord]:
    """Jobs that the kill sent from the concurrent path to legacy."""
    found = {
        record.job_id: record for record, line in ways if _sent_back(line) and _since(line, times)
    }
    return list(found.values())


def resumed_at(ways: Ways, times: Seen) -> datetime | None:
    """When the first job started on the concurrent path after the switch was lifted."""
    starts = _concurrent_starts(ways)
    return min((at for at in starts if times.rearmed_at and at >= times.rearmed_at), default=None)


def figures(ways: Ways, times: Seen) -> dict[str, Any]:
    """Seconds from the pull of the switch, and starts that should not have been."""
    back = [_at(line) for _, line in ways if _sent_back(line) and _since(line, times)]
    refused = [
        _at(line)
        for _, line in ways
        if line["what"] == "accepted" and line["reason"] == Reason.KILLED and _since(line, times)
    ]
    until = times.rearmed_at or datetime.max.replace(tzinfo=UTC)
    return {
        "acknowledged_s": _s(times, times.killed_at),
        "first_start_refused_s": _s(times, min([*back, *refused], default=None)),
        "last_handed_back_s": _s(times, max(back, default=None)),
        "resumed_s": _s(times, resumed_at(ways, times)),
        "starts_after_the_kill": sum(
            times.killed_at < at < until for at in _concurrent_starts(ways)
        ),
    }


def _sent_back(line: dict[str, Any]) -> bool:
    return line["what"] == "handed to legacy" and Reason(line["reason"]).means.by_kill


def _concurrent_starts(ways: Ways) -> list[datetime]:
    return [
        _at(line)
        for _, line in ways
        if line["what"] == "started" and line["path"] == JobPath.CONCURRENT
    ]


def _since(line: dict[str, Any], times: Seen) -> bool:
    # A way counts milliseconds.
    return _at(line) >= times.began - timedelta(milliseconds=1)


def _s(times: Seen, at: datetime | None) -> float | None:
    return None if at is None else round(max(0.0, (at - times.began).total_seconds()), 3)


def _sentence(more: dict[str, Any], aborted: str | None) -> str:
    if aborted is not None:
        return f"The switch was thrown; {aborted.rstrip('.')}."
    return (
        f"Acknowledged after {more['acknowledged_s']} s,"
        f" {more['starts_after_the_kill']} starts after it, resumed after {more['resumed_s']} s."
    )
