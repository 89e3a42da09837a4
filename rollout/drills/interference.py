"""A delivery under a drill: the planted fault happens in and around the path, and nowhere else.

Loaded only when a plan is in force. Every fault asks again before it strikes, so that a drill
that was stopped, or a kill, ends it in the middle; a job is hurt once, and never without a mark in
the ledger. Whatever a hurt attempt does on legacy, its job runs there again: a drill may cost a
job time, never its outcome.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, cast

from rollout.drills.errors import DrillFault
from rollout.drills.fault import Fault, FaultPlan
from rollout.drills.plans import DrillPlans
from rollout.drills.ports import JobMarker
from rollout.errors import ControlStoreUnreachable, LedgerUnreachable
from rollout.jobs.delivery import Delivery, Paths
from rollout.jobs.interference import Interfered
from rollout.jobs.ports import Job, JobLedger
from rollout.log import log
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.ports import ControlStore
from rollout.routing.rule import Planted, plan_in_force

NAP_S = 0.05
"""Pause between two looks at a time limit's signal."""
ASK_S = 0.5
"""Pause between two questions whether the drill is still on."""
_CHUNK_MB = 16

_stub_url: ContextVar[str] = ContextVar("rollout_downstream_stub", default="")


def downstream(url: str) -> str:
    """Give the address of a service that a path calls: its own, or a drill's failing stub.

    Args:
        url: Where the service is. Paths that want `downstream` drills ask with it.
    """
    return _stub_url.get() or url


class DrillInterference:
    """Lets a planted fault happen to the jobs that its plan chooses; see `jobs.interference`.

    Args:
        control: Asked whether the plan is still in force.
        plans: Counts the jobs that are hurt, over all workers.
        marker: Marks them in the ledger.
        clock: Time, and the naps of a fault that waits.
        end_this_process: Kills the process that runs the job, as SIGKILL does.
    """

    def __init__(
        self,
        control: ControlStore,
        plans: DrillPlans,
        marker: JobMarker,
        clock: Clock,
        end_this_process: Callable[[], None],
    ) -> None:
        self._control = control
        self._plans = plans
        self._marker = marker
        self._clock = clock
        self._end_this_process = end_this_process

    def meet(
        self, paths: Paths, delivery: Delivery, ledger: JobLedger, planted: Planted
    ) -> Interfered:
        """Say how the delivery goes on with the planted fault in it, if it is one of the chosen."""
        alone = Interfered(paths, ledger)
        if not isinstance(planted, FaultPlan):
            return alone
        fault = PlantedFault(
            planted,
            delivery,
            self._control,
            self._plans,
            self._marker,
            self._clock,
            self._end_this_process,
        )
        if not fault.concerns(paths.effects):
            return alone
        if not planted.fault.before_claim:
            return Interfered(PathsUnderFault(paths, fault), ledger)
        # Legacy asks nobody at its start, so it would not notice a fault of the gate.
        if planted.fault.at_the_gate and delivery.job.path is not JobPath.CONCURRENT:
            return alone
        if not fault.strike():
            return alone
        if planted.fault is Fault.STORE_CUT:
            return Interfered(paths, ledger, Reason.UNREACHABLE)
        if planted.fault is Fault.WAY_BACK:
            return Interfered(paths, ledger, Reason.DRILL)
        return Interfered(paths, cast(JobLedger, CutLedger(ledger, fault)))


class PlantedFault:
    """One delivery of a chosen job, and the plan that it meets.

    Args:
        plan: In force when the delivery began.
        delivery: The job, on the path of its delivery, and the process that runs it.
    """

    def __init__(
        self,
        plan: FaultPlan,
        delivery: Delivery,
        control: ControlStore,
        plans: DrillPlans,
        ledger: JobMarker,
        clock: Clock,
        end_this_process: Callable[[], None],
    ) -> None:
        self.plan = plan
        self._job = delivery.job
        self._node = delivery.worker.rpartition(":")[0]
        self._expendable = delivery.expendable
        self._control = control
        self._plans = plans
        self._ledger = ledger
        self._clock = clock
        self.end_this_process = end_this_process

    def concerns(self, effects: Effects) -> bool:
        """Whether this job, on this worker and with these effects, is one to hurt."""
        if self.plan.fault is Fault.KILL_CHILD and not self._expendable:
            return False
        if not effects.repeatable and not self.plan.fault.repeats_no_effect:
            return False
        return self.plan.chooses(self._job.job_id, self._node)

    def strike(self) -> bool:
        """Count and mark the job; False when the limit is reached, or it may not be hurt."""
        try:
            if not self._plans.take(self.plan, self._job.job_id, self._node):
                return False
            marked = self._ledger.mark_drilled(
                self._job.name,
                self._job.job_id,
                self.plan.drill_id,
                self.plan.fault,
                self._clock.now(),
            )
        except (ControlStoreUnreachable, LedgerUnreachable) as error:
            log.warning("drill leaves the job alone", job=self._job.job_id, why=str(error))
            return False
        # A cut line stays cut: the same job meets it at each delivery.
        return marked or self.plan.fault.before_claim

    def goes_on(self) -> bool:
        """Ask whether the plan is still in force for this job."""
        reading = self._control.read(self.plan.name)
        plan = plan_in_force(reading, self._job.path, self._clock.now())
        return isinstance(plan, FaultPlan) and plan.drill_id == self.plan.drill_id

    def wait(self, seconds: float) -> None:
        """Wait in naps, so that time limits get through, while the plan is in force."""
        asked = began = self._clock.monotonic()
        while (now := self._clock.monotonic()) - began < seconds:
            if now - asked >= ASK_S:
                asked = now
                if not self.goes_on():
                    return
            self._clock.sleep(min(NAP_S, seconds - (now - began)))

    def hold_lock(self) -> None:
        """Keep other writers out of the ledger while the plan is in force."""
        self._ledger.hold_lock(self.plan.fault_s, self.goes_on)

    def rest_s(self) -> float:
        """Seconds until the plan is over by itself."""
        return (self.plan.until - self._clock.now()).total_seconds()

    def error(self) -> DrillFault:
        """What is raised in the job."""
        return DrillFault(self.plan.drill_id, self.plan.fault)


class PathsUnderFault:
    """The sub-pipeline with the fault around its path; `hurt` once it has struck."""

    def __init__(self, paths: Paths, fault: PlantedFault) -> None:
        self._paths = paths
        self._fault = fault
        self.name = paths.name
        self.effects = paths.effects
        self.holdback_bp = paths.holdback_bp
        self.read = paths.read
        self.hurt = False

    def call(self, path: JobPath, job: Job) -> Any:
        """Run the path with the fault before, in or after it."""
        if not self._fault.strike():
            return self._paths.call(path, job)
        self.hurt = True
        fault, plan = self._fault.plan.fault, self._fault.plan
        before: dict[Fault, Callable[[], None]] = {
            Fault.RAISE: self._fail,
            Fault.DELAY: lambda: self._fault.wait(plan.fault_s),
            Fault.HANG: lambda: self._fault.wait(self._fault.rest_s()),
            Fault.MEMORY: lambda: blow_up(plan.memory_mb),
            Fault.LOCK: self._fault.hold_lock,
        }
        if fault in before:
            before[fault]()
        if fault is Fault.DOWNSTREAM:
            return self._with_stub(path, job)
        value = self._paths.call(path, job)
        if fault is Fault.KILL_CHILD and self._fault.goes_on():
            self._fault.end_this_process()
        if fault is Fault.CORRUPT and self._fault.goes_on():
            return Corrupt(self._fault.error())
        return value

    def write(self, value: Any, job: Job) -> str:
        """Call the commit hook; what it made of a corrupt value is never committed."""
        result = self._paths.write(value, job)
        if isinstance(value, Corrupt):
            log.warning("commit hook noticed nothing of a corrupt value", job=job.job_id)
            raise self._fault.error()
        return result

    def _fail(self) -> None:
        raise self._fault.error()

    def _with_stub(self, path: JobPath, job: Job) -> Any:
        token = _stub_url.set(self._fault.plan.stub_url)
        try:
            return self._paths.call(path, job)
        finally:
            _stub_url.reset(token)


class Corrupt:
    """A damaged result: whatever looks into it, writes it or counts it gets the drill's error."""

    def __init__(self, error: Exception) -> None:
        object.__setattr__(self, "_error", error)

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise object.__getattribute__(self, "_error")

    __getattr__ = __iter__ = __len__ = __bool__ = __str__ = __repr__ = __getitem__ = _refuse
    __contains__ = __call__ = __int__ = __float__ = __eq__ = __lt__ = __hash__ = _refuse


class CutLedger:
    """The ledger behind a line that a drill has cut: each call fails until the drill is over."""

    def __init__(self, ledger: JobLedger, fault: PlantedFault) -> None:
        self._ledger = ledger
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._ledger, name)
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._fault.goes_on():
                cut = ConnectionError(f"drill {self._fault.plan.drill_id} cut the line")
                raise LedgerUnreachable(self._ledger.url, cut)
            return value(*args, **kwargs)

        return call


def blow_up(memory_mb: int) -> None:
    """Take memory up to a limit, touching each page, and raise MemoryError; all of it is freed."""
    held: list[bytearray] = []
    for taken in range(0, memory_mb, _CHUNK_MB):
        held.append(bytearray(min(_CHUNK_MB, memory_mb - taken) * 1024 * 1024))
    held.clear()
    raise MemoryError(f"a drill took {memory_mb} MB, its limit")
