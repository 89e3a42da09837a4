"""A whole system in one process: real services and ledger, a memory store, a hand-set clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from rollout.adapters.memory.control_store import MemoryControlStore
from rollout.adapters.sql.ledger import SqlLedger
from rollout.desk.status import Status, read_status
from rollout.errors import BrokerUnreachable, LedgerUnreachable
from rollout.jobs.attempt import Attempts
from rollout.jobs.claims import JobRecord
from rollout.jobs.delivery import Delivery, Outcome
from rollout.jobs.ports import Handed, Held, Job
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event
from rollout.wiring import Runtime, build
from tests.builders import NAME, filing
from tests.hand_clock import HandClock

GONE = ConnectionError("cut")


class FakeQueues:
    """`ports.Queues` that remembers what was sent; `away` plays a broker that is down."""

    url = "fake://"

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.waiting: dict[JobPath, int] = {}
        self.hands: frozenset[str] | None = frozenset()
        self.next_up: dict[JobPath, str | None] = {}
        self.next_sent: dict[JobPath, datetime] = {}
        self.away = False

    def send_jobs(self, jobs: Sequence[Handed]) -> None:
        """Remember the jobs."""
        self._must_answer()
        self.sent += [job.job_id for job in jobs]

    def held(self, name: str) -> Held:
        """What the test says."""
        self._must_answer()
        return Held(self.hands, self.next_up, self.waiting, self.next_sent)

    def _must_answer(self) -> None:
        if self.away:
            raise BrokerUnreachable(self.url, GONE)


class CutLedger:
    """A real ledger behind a line that is cut for chosen calls.

    `away` names the calls that fail; a number is how often, None for ever. `unanswered` names those
    that are carried out and whose answer is lost, as often. `trace` keeps all.
    """

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger
        self.away: dict[str, int | None] = {}
        self.unanswered: dict[str, int] = {}
        self.trace: list[str] = []
        self.before: Callable[[str], None] = lambda name: None

    def cut(self, *names: str, times: int | None = None) -> None:
        """Let these calls fail; without names all of them."""
        self.away |= dict.fromkeys(names or ("*",), times)

    def mend(self) -> None:
        """Let every call through again."""
        self.away.clear()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._ledger, name)
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            self.trace.append(name)
            self.before(name)
            for key in (name, "*"):
                left = self.away.get(key, 0)
                if left is None or left > 0:
                    if left is not None:
                        self.away[key] = left - 1
                    raise LedgerUnreachable("sqlite:///cut", GONE)
            answer = value(*args, **kwargs)
            if self.unanswered.get(name, 0) > 0:
                self.unanswered[name] -= 1
                raise LedgerUnreachable("sqlite:///cut", GONE)
            return answer

        return call


@dataclass
class World:
    """Everything that the services of one machine work with."""

    runtime: Runtime
    clock: HandClock
    control: MemoryControlStore
    ledger: SqlLedger
    line: CutLedger
    queues: FakeQueues
    ran: list[str] = field(default_factory=list)

    @property
    def attempts(self) -> Attempts:
        """Runs deliveries as a worker does."""
        return self.runtime.attempts((Retry,))

    def declare(
        self,
        effects: str = "commit",
        *,
        legacy: Callable[[int], Any] | None = None,
        concurrent: Callable[[int], Any] | None = None,
        hook: Callable[[Any, Job], Any] | None = None,
        name: str = NAME,
    ) -> SubPipeline:
        """Declare a sub-pipeline whose paths say which of them ran, all jobs in its scope."""
        made = SubPipeline(name, effects=effects, key="n", holdback_bp=0, runtime=self.runtime)

        @made.legacy
        def old(n: int) -> Any:
            self.ran.append("legacy")
            return legacy(n) if legacy else ["legacy", n]

        @made.concurrent
        def new(n: int) -> Any:
            self.ran.append("concurrent")
            return concurrent(n) if concurrent else ["concurrent", n]

        if effects == "commit":

            @made.commit
            def write(value: Any, job: Job) -> Any:
                self.ran.append("hook")
                return hook(value, job) if hook else value

        self.open(made)
        return made

    def open(self, pipeline: SubPipeline) -> None:
        """Take all jobs of a declared sub-pipeline into its scope."""
        declared = pipeline.declared
        self.ledger.ensure(declared.name, declared.effects, 0, self.clock.now())
        self.runtime.changes.change(declared.name, Event.START, "ada", "go")
        self.runtime.changes.change(declared.name, Event.SCOPE, "ada", "all", scope_bp=10_000)
        self.control.beat("controller", timedelta(days=1))

    def deliver(
        self,
        pipeline: SubPipeline,
        job_id: str = "job-1",
        path: JobPath = JobPath.CONCURRENT,
        *,
        file: bool = True,
        worker: str = "w1",
        drilled: bool = False,
    ) -> Outcome:
        """Deliver a job as a queue does, filed at its submission unless told otherwise."""
        made = filing(job_id, path, name=pipeline.name, at=self.clock.now())
        if file:
            self.ledger.file([made])
        job = Job(job_id, pipeline.name, "7", path, 0, (), {"n": 7})
        return self.attempts.run(pipeline.declared, Delivery(job, worker, lambda: made, drilled))

    def job(self, job_id: str = "job-1", name: str = NAME) -> JobRecord:
        """The job's row."""
        return self.ledger.job(name, job_id)

    def status(self, name: str = NAME) -> Status:
        """What the status command shows."""
        (status,) = read_status(self.ledger, self.control, self.clock, name)
        return status


class Retry(Exception):
    """Plays an exception of the queue engine, which passes through."""


def open_world(folder: Path, migrated_file: bytes) -> World:
    """A fresh system on an SQLite file in this folder; the caller closes its runtime."""
    (folder / "ledger.db").write_bytes(migrated_file)
    runtime = build(ledger_url="sqlite:///ledger.db", control_url="memory:")
    clock, queues = HandClock(), FakeQueues()
    runtime.clock = clock
    ledger = SqlLedger(runtime.database, own_clock=False)
    line = CutLedger(ledger)
    runtime.ledger = cast(Any, line)
    runtime.queues = queues
    control = runtime.control
    assert isinstance(control, MemoryControlStore)
    return World(runtime, clock, control, ledger, line, queues)
