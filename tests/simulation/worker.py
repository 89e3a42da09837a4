"""A worker: what `rollout/adapters/celery/{task,request,steps}.py` do, without Celery.

A worker is a main process with one child. The child takes messages and runs them; the main process
renews claims, sees a dead child, and hands back what runs when it is told to stop.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from greenlet import GreenletExit

from rollout.adapters.memory.queues import MemoryMessage
from rollout.errors import BrokerUnreachable, LedgerUnreachable
from rollout.jobs.attempt import Attempts
from rollout.jobs.claims import Refusal
from rollout.jobs.delivery import Delivery, Done, Dropped, Failed, Outcome, ToLegacy, Wait
from rollout.jobs.interrupts import ProcessEnds
from rollout.jobs.key_order import KeyOrder
from rollout.jobs.ports import Filing, Job, Running
from rollout.jobs.resource_calls import ResourceCalls
from rollout.routing.decision import Decision, JobPath, Reason
from rollout.routing.effects import Effects
from tests.simulation.history import label
from tests.simulation.limits import RENEW_S, SILENT_AFTER, VISIBILITY_S
from tests.simulation.process import Process
from tests.simulation.producer import Kind, Producer, filing_of
from tests.simulation.scheduler import FOREVER_S, Actor
from tests.simulation.watched import Tell, WatchedQueues

_PREFETCH = 2
GRACE_S = 3_600.0
"""What a worker that is told to stop gives an unsafe job; longer than the longest."""


class PathFailed(Exception):
    """What a path raises."""


class TryAgain(Exception):
    """Celery's Retry: the path has sent its job again by the door."""


@dataclass
class Quality:
    """How the paths behave. Shares 0..1; durations in seconds."""

    concurrent_fails: float = 0.08
    legacy_fails: float = 0.02
    retries: float = 0.03
    poison: float = 0.005
    long: float = 0.05


class Worker:
    """One worker on one path; `queues` is the server itself, for what a broker does by itself."""

    def __init__(
        self,
        process: Process,
        path: JobPath,
        kinds: list[Kind],
        queues: WatchedQueues,
        tell: Tell,
        chance: Random,
        quality: Quality,
    ) -> None:
        self.process = process
        self.path = path
        self.running: MemoryMessage | None = None
        self._kinds = {kind.name: kind for kind in kinds}
        self._queues = queues
        self._tell = tell
        self._chance = chance
        self._quality = quality
        self._hand: deque[MemoryMessage] = deque()
        self._unacknowledged: dict[MemoryMessage, None] = {}
        self._idle: Actor | None = None
        self._pid = 0
        self._stopping = False
        clock = process.clock
        self._attempts = Attempts(process.store, process.ledger, clock, SILENT_AFTER, (TryAgain,))
        self._door = Producer(process, tell)
        self._order = KeyOrder(process.ledger, process.broker, clock)
        self._calls = ResourceCalls(process.ledger, process.broker, clock)
        self._child = self._fork()

    # The child -----------------------------------------------------------------------------

    def _fork(self, after_s: float = 0.0) -> Actor:
        self._pid += 1
        return self.process.spawn(self._work, name=self._name, after_s=after_s)

    @property
    def _name(self) -> str:
        return f"{self.process.who}:{self._pid}"

    def _work(self) -> None:
        while not self._stopping:
            while not self._hand:
                self._fetch()
            self.running = self._hand.popleft()
            self._deliver(self.running)
            self.running = None

    def _fetch(self) -> None:
        try:
            for name in self._kinds:
                while len(self._hand) < _PREFETCH:
                    message = self.process.broker.take(name, self.path)
                    if message is None:
                        break
                    self._hand.append(message)
                    self._unacknowledged[message] = None
        except BrokerUnreachable:
            self.process.scheduler.pause(20)
            return
        if not self._hand:
            self._idle = self.process.scheduler.current
            self.process.scheduler.park()

    def notice(self, message: MemoryMessage) -> None:
        """Wake the child when its queue has got a message."""
        if message.path is self.path and self._idle is not None:
            self.process.scheduler.wake(self._idle, 0.01 * self._chance.random())

    def _deliver(self, message: MemoryMessage) -> None:
        kind = self._kinds[message.name]
        key = message.envelope
        job = Job(message.job_id, kind.name, key, message.path, 0)
        decision = Decision(message.path, Reason.UNFILED, -1)

        def filing() -> Filing:
            return filing_of(kind.name, job.job_id, key, decision, self.process.clock.now())

        delivery = Delivery(job, self._name, filing, on_failure=kind.on_failure, needs=kind.needs)
        try:
            outcome = self._attempts.run(_Paths(self, kind), delivery)
        except TryAgain:
            self._calls.given_back(kind.needs)
            self._acknowledge(message)
            return
        except ProcessEnds as ends:
            raise ends.asked from None
        if kind.on_failure is not None:
            self._order.send_next(kind.name, key)
        if outcome != Dropped(Refusal.TAKEN):
            self._calls.given_back(kind.needs)
        self._carry_out(message, outcome)

    def _carry_out(self, message: MemoryMessage, outcome: Outcome) -> None:
        match outcome:
            case Done() | Failed():
                self._tell(
                    "told", job=label(message.name, message.job_id), outcome=type(outcome).__name__
                )
                self._acknowledge(message)
            case ToLegacy(reason, recorded):
                self._tell(
                    "handed",
                    job=label(message.name, message.job_id),
                    reason=reason,
                    recorded=recorded,
                )
                self._send_to_legacy(message, recorded=recorded)
            case Dropped(refusal):
                self._tell("dropped", job=label(message.name, message.job_id), refusal=refusal)
                self._acknowledge(message)
            case Wait():
                self.process.scheduler.pause(60)
                self._give_back(message)

    def _send_to_legacy(self, message: MemoryMessage, *, recorded: bool) -> None:
        legacy = MemoryMessage(message.name, JobPath.LEGACY, message.job_id, message.envelope)
        try:
            self.process.broker.send(legacy)
        except BrokerUnreachable:
            if not recorded:
                self._give_back(message)
                return
        self._acknowledge(message)

    def _acknowledge(self, message: MemoryMessage) -> None:
        try:
            self.process.broker.acknowledge(message)
        except BrokerUnreachable:
            self._restore_later(message)
        self._unacknowledged.pop(message, None)

    def _give_back(self, message: MemoryMessage) -> None:
        try:
            self.process.broker.give_back(message)
        except BrokerUnreachable:
            self._restore_later(message)
        self._unacknowledged.pop(message, None)

    def _restore_later(self, message: MemoryMessage) -> None:
        """Let the broker deliver again what nobody has acknowledged in time."""
        give_back = self._queues.give_back
        self.process.scheduler.spawn("broker", lambda: give_back(message), VISIBILITY_S)

    # What a path does ----------------------------------------------------------------------

    def call(self, kind: Kind, path: JobPath, job: Job) -> str:
        """Run a path: it takes its time, and fails, retries or kills its process now and then."""
        self._tell(
            "ran", name=kind.name, job=label(job.name, job.job_id), attempt=job.attempt, path=path
        )
        quality, draw = self._quality, self._chance.random()
        poison = draw < quality.poison
        self._spend(
            job, 1 + 120 * self._chance.random() + (RENEW_S * 4) * (draw > 1 - quality.long)
        )
        if poison:
            self.process.spawn(lambda: self.lose_child(Reason.WORKER_LOST), name=self.process.who)
            self.process.scheduler.pause(FOREVER_S)
        fails = quality.legacy_fails if path is JobPath.LEGACY else quality.concurrent_fails
        if self._chance.random() < fails:
            raise PathFailed(f"{path} failed")
        if job.attempt and self._chance.random() < quality.retries:
            self._retry(kind, job)
        return str(path)

    def _spend(self, job: Job, seconds: float) -> None:
        """Let time pass; the main process renews the claim meanwhile."""
        while seconds > 0:
            piece_s = min(seconds, RENEW_S)
            self.process.scheduler.pause(piece_s)
            seconds -= piece_s
            if seconds > 0:
                try:
                    self.process.ledger.renew(
                        [Running(job.name, job.job_id, self._name, job.path)],
                        self.process.clock.now(),
                    )
                except LedgerUnreachable:
                    continue

    def _retry(self, kind: Kind, job: Job) -> None:
        decision = self._door.service.decide(kind.name, job.key)
        if job.path is JobPath.LEGACY:
            decision = Decision(JobPath.LEGACY, Reason.FAILED, decision.revision)
        now = self.process.clock.now()
        filing = filing_of(kind.name, job.job_id, job.key, decision, now)
        filed = self._door.service.release(filing, job.attempt)
        path = decision.path if filed else JobPath.LEGACY
        if filed:  # before anybody can take the message up, however slow the broker's answer is
            self._tell("retried", job=label(kind.name, job.job_id))
        try:
            self.process.broker.send(MemoryMessage(kind.name, path, job.job_id, job.key))
        except BrokerUnreachable as error:
            if not filed:
                raise PathFailed("the retry could not be sent") from error
        if not filed:
            self._tell("retried", job=label(kind.name, job.job_id))
        raise TryAgain

    def write(self, kind: Kind, value: Any, job: Job) -> str:
        """Run the commit hook: its effect is one line that the ledger's transaction writes."""
        if kind.effects is Effects.COMMIT:
            self.process.scheduler.pause(self._chance.random())
            job.connection.on_commit(
                lambda: self._tell("effect", job=label(job.name, job.job_id), attempt=job.attempt)
            )
        return f'"{value}"'

    # The main process ----------------------------------------------------------------------

    def lose_child(self, reason: Reason) -> None:
        """The child is dead: decide about its job, and start another."""
        message, name = self.running, self._name
        self.running = self._idle = None
        self.process.scheduler.kill(self._child)
        self._child = self._fork(after_s=1.0)
        if message is None:
            return
        kind = self._kinds[message.name]
        job = Job(message.job_id, kind.name, message.envelope, message.path, 0)
        try:
            outcome = self._attempts.worker_lost(_Paths(self, kind), job, name, reason)
        except LedgerUnreachable:
            self._give_back(message)
            return
        self._calls.given_back(kind.needs)
        if isinstance(outcome, Done):
            self._give_back(message)  # the next delivery tells the outcome
        else:
            self._carry_out(message, outcome)

    def stop(self) -> None:
        """SIGTERM: hand back what runs, give back what waits, end."""
        message = self.running
        if message is not None:
            kind = self._kinds[message.name]
            job = Job(message.job_id, kind.name, message.envelope, message.path, 0)
            outcome = self._attempts.hand_back(_Paths(self, kind), job, [self._name])
            if isinstance(outcome, ToLegacy):
                self._tell(
                    "handed",
                    job=label(job.name, job.job_id),
                    reason=outcome.reason,
                    recorded=outcome.recorded,
                )
                self._send_to_legacy(message, recorded=outcome.recorded)
            elif outcome is None and self._lets_finish(message):
                pass  # an unsafe job runs to its end, renewed as long as it does
            else:
                self._give_back(message)
            self.running = None
        while self._hand:
            self._give_back(self._hand.popleft())
        # What it took up meanwhile, the broker delivers again as it does after a death.
        for message in self._unacknowledged:
            self._restore_later(message)
        self.process.kill()

    def _lets_finish(self, message: MemoryMessage) -> bool:
        """Wait for the job that nobody else may run; whether it has ended within the grace."""
        self._stopping = True
        deadline_s = self.process.scheduler.now_s + GRACE_S
        while self.running is message and self.process.scheduler.now_s < deadline_s:
            self.process.scheduler.pause(10)
        return self.running is not message

    def die(self) -> None:
        """SIGKILL of the whole worker; the broker delivers again what it held, in its own time."""
        for message in self._unacknowledged:
            self._restore_later(message)
        self.process.kill()


@contextmanager
def _ending_with_its_process() -> Iterator[None]:
    """A process that is killed ends its path; that is no failure of the path."""
    try:
        yield
    except GreenletExit as ended:
        raise ProcessEnds(ended) from ended


class _Paths:
    """`jobs.attempt.Paths` of one kind on one worker."""

    def __init__(self, worker: Worker, kind: Kind) -> None:
        self._worker = worker
        self._kind = kind
        self.name = kind.name
        self.effects = kind.effects
        self.holdback_bp = kind.holdback_bp
        self.hurt = False

    def call(self, path: JobPath, job: Job) -> Any:
        with _ending_with_its_process():
            return self._worker.call(self._kind, path, job)

    def write(self, value: Any, job: Job) -> str:
        with _ending_with_its_process():
            return self._worker.write(self._kind, value, job)

    def read(self, result: str) -> Any:
        return result
