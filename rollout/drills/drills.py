"""Drills: may it run, run it on one path or back to back on both, keep what came of it.

Every guard of a drill lives here, so that CLI, demo and schedule cannot differ. A drill is
refused before anything was started; once begun it ends by its deadline, whatever happens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

from rollout.control.change import Changes
from rollout.drills.drill import Drill, Exercise
from rollout.drills.errors import DrillRefused
from rollout.drills.fault import Fault
from rollout.drills.injector import FaultInjector, Stub
from rollout.drills.journal import Journal
from rollout.drills.kill import KillDrill
from rollout.drills.lease import Lease
from rollout.drills.plans import DrillPlans
from rollout.drills.planting import may_plant
from rollout.drills.ports import DrillEvent, DrillLedger
from rollout.drills.recorded import owned_by
from rollout.drills.run import DrillRun, Injector
from rollout.drills.score import Score
from rollout.drills.steady import Normal, learn, must_be_steady, must_reach, windows_before
from rollout.errors import RolloutError
from rollout.jobs.ports import Ledger
from rollout.pilot.ports import Recovery
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath
from rollout.routing.ports import ControlStore

LEDGER = "*ledger"
"""The resource that a lock takes from everybody; no sub-pipeline may be called so."""


class DrillingLedger(Ledger, DrillLedger, Protocol):
    """The ledger, as far as drills need it."""

    def add_recovery(self, recovery: Recovery) -> None:
        """Keep a result."""
        ...

    def builds(self) -> Mapping[str, tuple[str | None, str | None]]:
        """Builds of the paths of each sub-pipeline, legacy first."""
        ...


@dataclass(frozen=True, slots=True)
class DrillReport:
    """What came of a drill; `pair_id` when both paths were measured and can be compared."""

    drill: Drill
    scores: tuple[Score, ...]
    pair_id: str | None

    @property
    def clean(self) -> bool:
        """Whether no job was lost and no effect happened twice."""
        return not any(score.jobs_lost or score.effects_twice for score in self.scores)

    def to_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {"pair_id": self.pair_id, "scores": [one.facts() for one in self.scores]}


Through = Callable[[Drill, Callable[[], DrillReport]], DrillReport]


class Drills:
    """Use cases of drills.

    Args:
        stub: Starts a server that answers errors, for `downstream` faults.
        say: Told each line of a journal as it is written.
        injectors: Makes what breaks things for drills whose fault is no planted one.
        through: What a run goes through: may it be run, and what is noted of it.
    """

    def __init__(
        self,
        ledger: DrillingLedger,
        control: ControlStore,
        plans: DrillPlans,
        changes: Changes,
        clock: Clock,
        stub: Stub,
        say: Callable[[DrillEvent], None] = lambda event: None,
        injectors: Callable[[Drill], Injector | None] = lambda drill: None,
        through: Through = lambda drill, run: run(),
    ) -> None:
        self._through = through
        self._ledger = ledger
        self._control = control
        self._plans = plans
        self._changes = changes
        self._clock = clock
        self._stub = stub
        self._say = say
        self._injectors = injectors

    def run(self, drill: Drill, first: JobPath, actor: str = "") -> DrillReport:
        """Run a drill on its path, or on both, beginning with `first` (drawn by the caller).

        Raises:
            DrillRefused, UnknownSubPipeline: It may not run now; nothing was started.
            LedgerUnreachable, ControlStoreUnreachable: Nothing was started.
        """
        return self._through(drill, lambda: self._run(drill, first, actor))

    def _run(self, drill: Drill, first: JobPath, actor: str) -> DrillReport:
        self.check(drill)
        drill_id = uuid4().hex
        lease = Lease(
            self._plans,
            self._clock,
            drill.sub_pipeline,
            _resources(drill),
            drill_id,
            lambda owner: owned_by(self._ledger, owner),
        )
        try:
            normal = self._normal(drill, lease.now())
            # A build that comes under the drill has proved nothing by it.
            _, build = self._ledger.builds().get(drill.sub_pipeline, (None, None))
            if len(drill.paths) == 1:
                score = self._leg(drill, drill_id, drill.paths[0], normal, None, actor, lease)
                return self._keep(drill, build, (score,), None)
            return self._pair(drill, drill_id, first, normal, build, actor, lease)
        finally:
            lease.release()

    def check(self, drill: Drill) -> None:
        """Check everything that does not need the traffic.

        Raises:
            DrillRefused, UnknownSubPipeline: It may not run now.
        """
        for path in drill.paths:
            self._may(drill, path)

    def foresee(self, drill: Drill) -> None:
        """Check everything that a run checks before it begins, the traffic too; writes nothing.

        Raises:
            DrillRefused, UnknownSubPipeline: It may not run now.
            LedgerUnreachable, ControlStoreUnreachable: That cannot be said now.
        """
        self.check(drill)
        self._normal(drill, self._clock.now())

    def _normal(self, drill: Drill, now: datetime) -> Normal:
        """Learn what is normal; raises DrillRefused where the drill does not fit it."""
        normal = learn(self._ledger, drill, now)
        for path in drill.paths:
            if drill.fault is not Exercise.KILL_SWITCH:
                must_reach(drill, normal, path)
        return normal

    def stop(self, name: str | None) -> list[str]:
        """Take the planted fault off one sub-pipeline, or all; its drill sees that and ends.

        Returns:
            Names of the sub-pipelines that had one.

        Raises:
            UnknownSubPipeline, LedgerUnreachable, ControlStoreUnreachable.
        """
        names = [state.name for state in self._ledger.controls()]
        if name is not None:
            names = [self._ledger.control(name).name]
        return [one for one in names if self._plans.unplant(one, None)]

    # Guards --------------------------------------------------------------------------------

    def _may(self, drill: Drill, path: JobPath) -> None:
        fault = drill.fault if isinstance(drill.fault, Fault) else None
        may_plant(self._ledger, self._control, drill.sub_pipeline, path, fault)

    # Running -------------------------------------------------------------------------------

    def _leg(
        self,
        drill: Drill,
        drill_id: str,
        path: JobPath,
        normal: Normal,
        pair_id: str | None,
        actor: str,
        clock: Clock,
    ) -> Score:
        """Run it on one path; what could not begin is in the journal as refused."""
        journal = Journal(self._ledger, clock, drill_id, drill.sub_pipeline, self._say)
        journal.write(
            "declared", **drill.on(path).facts(), path=str(path), pair_id=pair_id, actor=actor
        )
        journal.write(
            "steady",
            bands={str(one): band.to_json() for one, band in normal.bands.items()},
            jobs_per_s=round(normal.rates[path], 4),
        )
        try:
            score = self._runner(drill, drill_id, path, normal, journal, actor, clock).run()
        except RolloutError as error:
            journal.write("ended", result="refused", sentence=str(error))
            raise
        journal.wait_for_ledger()
        return score

    def _runner(
        self,
        drill: Drill,
        drill_id: str,
        path: JobPath,
        normal: Normal,
        journal: Journal,
        actor: str,
        clock: Clock,
    ) -> DrillRun | KillDrill:
        if drill.fault is Exercise.KILL_SWITCH:
            return KillDrill(
                drill, drill_id, self._changes, self._ledger, self._ledger, clock, journal, actor
            )
        return DrillRun(
            drill,
            drill_id,
            path,
            normal,
            self._injectors(drill) or FaultInjector(drill, self._plans, clock, self._stub),
            self._ledger,
            self._control,
            clock,
            journal,
            lambda: self._open_jobs(drill.sub_pipeline),
        )

    def _open_jobs(self, name: str) -> int:
        return sum(count.jobs for count in self._ledger.open_counts() if count.name == name)

    def _pair(
        self,
        drill: Drill,
        drill_id: str,
        first: JobPath,
        normal: Normal,
        build: str | None,
        actor: str,
        clock: Clock,
    ) -> DrillReport:
        """The same fault on both paths, one after the other, each from the same steady state."""
        pair_id = uuid4().hex
        order = sorted(drill.paths, key=lambda path: path is not first)
        one = self._leg(drill, drill_id, order[0], normal, pair_id, actor, clock)
        try:
            self._come_to_rest(drill, normal, clock)
            self._may(drill, order[1])
            two = self._leg(drill, uuid4().hex, order[1], normal, pair_id, actor, clock)
        except RolloutError:
            # A half that comes to no rest is the worst one: it is not left out of the figures.
            self._keep(drill, build, (one,), None)
            raise
        kept = pair_id if one.measured and two.measured else None
        return self._keep(drill, build, (one, two), kept)

    def _come_to_rest(self, drill: Drill, normal: Normal, clock: Clock) -> None:
        """Wait for the steady state between two halves, at most as long as a drill may take.

        Raises:
            DrillRefused: It did not come; the first half is kept, and no pair.
        """
        deadline = clock.now() + timedelta(seconds=drill.deadline_s)
        while True:
            clock.sleep(drill.window_s)
            now = clock.now()
            windows = windows_before(self._ledger, drill, now, drill.windows_inside)
            try:
                must_be_steady(drill, normal, windows)
            except DrillRefused:
                if now >= deadline:
                    raise
            else:
                return

    def _keep(
        self, drill: Drill, build: str | None, scores: tuple[Score, ...], pair_id: str | None
    ) -> DrillReport:
        for score in scores:
            if score.measured:
                self._ledger.add_recovery(self._recovery(drill, build, score, pair_id))
        return DrillReport(drill, scores, pair_id)

    def _recovery(
        self, drill: Drill, build: str | None, score: Score, pair: str | None
    ) -> Recovery:
        assert score.onset_at is not None, "a measured drill has hurt a job"
        assert score.recovery_s is not None, "and has a time, if only the cap"
        return Recovery(
            name=drill.sub_pipeline,
            at=self._clock.now(),
            kind="drill",
            pair_id=pair,
            path=score.path,
            fault=str(drill.fault),
            onset_at=score.onset_at,
            detected_at=score.detected_at,
            recovered_at=score.recovered_at,
            seconds=score.recovery_s,
            cap_s=drill.deadline_s,
            version=build,
            jobs_hurt=score.jobs_hurt,
            jobs_lost=score.jobs_lost,
        )


def _resources(drill: Drill) -> list[str]:
    return [drill.sub_pipeline, LEDGER] if drill.fault is Fault.LOCK else [drill.sub_pipeline]
