"""Who listens on the queues, and which processes still run what a kill has taken from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from rollout.control.kill_report import KillReport
from rollout.desk.plain import Json, plain_json
from rollout.desk.text import span_text
from rollout.errors import BrokerUnreachable, LedgerUnreachable, UnknownJob
from rollout.jobs.claims import JobRecord, JobState
from rollout.routing.decision import JobPath
from rollout.routing.stages import ControlState, Stage

HANGS_AFTER = timedelta(seconds=5)
"""A process that was told by its commit that it is too late ends well before this."""


@dataclass(frozen=True, slots=True)
class ActiveTask:
    """A job that a worker's process runs now; `queue` is where the worker took it from."""

    worker: str
    pid: int
    job_id: str
    queue: str
    since: datetime


class Asked(Protocol):
    """Questions on their way to the workers. Both wait for the answers, less than a second from
    the asking on, and raise BrokerUnreachable."""

    def listeners(self) -> Mapping[str, Sequence[str]]:
        """Names of the workers that listen on each queue; a queue without one is left out."""
        ...

    def active(self) -> Sequence[ActiveTask]:
        """What the workers' processes run now."""
        ...


class Workers(Protocol):
    """The queue engine's workers."""

    def ask(self) -> Asked:
        """Ask them everything at once; waits for nothing."""
        ...


class JobRow(Protocol):
    """The ledger, as far as one job is asked for."""

    def job(self, name: str, job_id: str) -> JobRecord:
        """Read one job. Raises UnknownJob, LedgerUnreachable."""
        ...


@dataclass(frozen=True, slots=True)
class Hanging:
    """A process that still runs a concurrent attempt whose job was taken from it."""

    name: str
    task: ActiveTask
    lasts: timedelta

    @property
    def sentence(self) -> str:
        """Where it hangs and how to end it; its job runs elsewhere, so nothing is lost by that."""
        return (
            f"process {self.task.pid} of worker {self.task.worker} still runs job "
            f"{self.task.job_id} of {self.name} for {span_text(self.lasts)}, and its job was taken "
            f"from it: until it ends the concurrent path has one process less. End it on "
            f"{host_of(self.task.worker)}: `kill -9 {self.task.pid}`; the worker starts another"
        )

    def to_json(self) -> Json:
        """What scripts read."""
        values: Json = plain_json(self.task)
        return {"name": self.name, **values, "lasts_s": self.lasts.total_seconds()}


def read_hanging(
    asked: Asked, ledger: JobRow, names: Sequence[str], now: datetime
) -> tuple[Hanging, ...]:
    """Find processes that hang in an attempt that counts no more, of sub-pipelines of these names.

    Raises:
        BrokerUnreachable, LedgerUnreachable: They do not answer.
    """
    rows = []
    for task in asked.active():
        name = task.queue.removesuffix(f".{JobPath.CONCURRENT}")
        if name == task.queue or name not in names or now - task.since < HANGS_AFTER:
            continue
        try:
            record = ledger.job(name, task.job_id)
        except UnknownJob:
            continue
        holds = record.path is JobPath.CONCURRENT and record.state is JobState.STARTED
        if not holds:
            rows.append(Hanging(name, task, now - task.since))
    return tuple(rows)


def hanging_sentences(hanging: Sequence[Hanging]) -> list[str]:
    """Which processes of each worker hang, and the one line that ends them."""
    by_worker: dict[tuple[str, str], list[Hanging]] = {}
    for one in hanging:
        by_worker.setdefault((one.name, one.task.worker), []).append(one)
    return [_of_worker(worker, rows) for (_, worker), rows in by_worker.items()]


def _of_worker(worker: str, rows: Sequence[Hanging]) -> str:
    """What hangs in one worker; its jobs run elsewhere, so nothing is lost by ending it."""
    if len(rows) == 1:
        return rows[0].sentence
    pids = " ".join(str(one.task.pid) for one in rows)
    longest = max(one.lasts for one in rows)
    return (
        f"{len(rows)} processes of worker {worker} still run jobs of {rows[0].name} that were "
        f"taken from them, for up to {span_text(longest)}: until they end the concurrent path has "
        f"so many less. End them on {host_of(worker)}: `kill -9 {pids}`; the worker starts others"
    )


def host_of(worker: str) -> str:
    """The machine of a worker, by its node name."""
    return worker.partition("@")[2] or worker


@dataclass(frozen=True, slots=True)
class StillRunning:
    """What workers go on with after a kill; `unasked` says why nobody could be asked."""

    hanging: tuple[Hanging, ...] = ()
    unasked: str | None = None

    @property
    def sentences(self) -> list[str]:
        """Each process and how to end it."""
        if self.unasked is not None:
            return [f"not known: {self.unasked}; `rollout doctor` asks again"]
        return hanging_sentences(self.hanging)

    def to_json(self) -> list[Json] | None:
        """What scripts read; None where nobody could be asked."""
        return None if self.unasked is not None else [one.to_json() for one in self.hanging]


def read_still_running(
    report: KillReport, workers: Callable[[], Workers | None], ledger: JobRow, now: datetime
) -> StillRunning:
    """Ask which processes go on with what a kill took from them; what is away hides no kill.

    Nobody is asked where the broker has not answered the kill.
    """
    if report.broker_error is not None:
        return StillRunning(unasked=report.broker_error)
    try:
        there = workers()
        hanging = () if there is None else read_hanging(there.ask(), ledger, report.names, now)
    except (BrokerUnreachable, LedgerUnreachable) as error:
        return StillRunning(unasked=error.problem)
    return StillRunning(hanging)


def needed_queues(state: ControlState) -> list[str]:
    """Queues on which somebody has to listen, at this stage and scope, legacy's first."""
    queues = [f"{state.name}.{JobPath.LEGACY}"]
    if state.scope_bp > 0:
        queues.append(f"{state.name}.{JobPath.CONCURRENT}")
    if state.stage is Stage.SHADOW:
        queues.append(shadow_queue(state.name))
    return queues


def shadow_queue(name: str) -> str:
    """Where copies of jobs wait."""
    return f"{name}.shadow"


def nobody_listens(queue: str) -> str:
    """What is wrong, and what to start."""
    if queue.endswith(".shadow"):
        return (
            f"no worker listens on queue {queue}, so no copy is compared: set shadow_concurrency "
            f"for `rollout up`, or start `celery -A MODULE worker -Q {queue}`"
        )
    return (
        f"no worker listens on queue {queue}, so its jobs wait: start `celery -A MODULE worker "
        f"-Q {queue}`, or `rollout up`"
    )
