"""The simulated system: three servers, their processes, and what can be done to them."""

from collections.abc import Callable
from random import Random
from typing import Any

from rollout.adapters.memory.queues import MemoryMessage
from rollout.errors import UnknownJob
from rollout.jobs.claims import JobRecord, JobState
from rollout.policy.policy import Policies, Policy
from rollout.routing.decision import JobPath
from tests.simulation.bulk import Bulk
from tests.simulation.controller import Controller, Operator
from tests.simulation.history import History, label
from tests.simulation.judge import Judge, Outcome
from tests.simulation.limits import REST_S, TICK_S
from tests.simulation.process import Process, SkewedClock, Turbulence
from tests.simulation.producer import Kind, Producer
from tests.simulation.scheduler import Scheduler
from tests.simulation.watched import WatchedLedger, WatchedQueues, WatchedStore
from tests.simulation.worker import Quality, Worker

_KEYS_IN_ORDER = 3
_KEYS_OBSERVED = 4

BY_HAND = Policies(default=Policy(automatic=False, drills_min=0))
"""The controller judges and says; people act."""


class World:
    """Everything of one run.

    Args:
        seed: Decides everything that chance decides.
        kinds: The declared sub-pipelines.
        policies: What the controller may do by itself.
        keep: Keep the whole history, to print it.
        calm: No latencies and no lost answers: a test chooses the interleaving by itself.
    """

    def __init__(
        self,
        seed: int,
        kinds: list[Kind],
        policies: Policies = BY_HAND,
        *,
        keep: bool = False,
        calm: bool = False,
    ) -> None:
        self.chance = Random(seed)
        self.kinds = kinds
        self.scheduler = Scheduler()
        self.history = History(keep=keep)
        self.policies = policies
        self.bulk = Bulk(seed, flows=policies.default.automatic)
        self.judge = Judge(kinds, policies, self.bulk)
        self.quality = Quality()
        self.away: set[str] = set()
        clock = SkewedClock(self.scheduler)
        self.ledger = WatchedLedger(self.tell, self.bulk, clock)
        self.store = WatchedStore(clock, self.tell)
        self.queues = WatchedQueues(self.tell)
        self.queues.on_send = self._notice
        self.workers: dict[str, Worker] = {}
        self.controllers: dict[str, Controller] = {}
        self.jobs = self.late = 0
        self._last_id = self._last_kind = ""
        self._turbulence = Turbulence(self.chance, calm=calm)
        self._touched: list[str] = []
        self._people = self._controllers = 0
        for kind in kinds:
            self.ledger.ensure(kind.name, kind.effects, kind.holdback_bp, self.store.clock.now())
        self.producer = Producer(self.process("producer"), self.tell)
        self.start_all()

    def tell(self, what: str, **facts: Any) -> None:
        """Add a line to the history."""
        actor = self.scheduler.current
        who = "world" if actor is None else actor.who
        self.history.add(self.scheduler.now_s, who, what, facts)
        if what in ("submitted", "reopened"):
            self._touched.append(facts["job"])

    def process(self, who: str) -> Process:
        """Start a process."""
        servers = {"ledger": self.ledger, "store": self.store, "broker": self.queues}
        return Process(who, self.scheduler, self._turbulence, self.away, servers)

    def _notice(self, message: MemoryMessage) -> None:
        for worker in self.workers.values():
            worker.notice(message)

    # What runs -----------------------------------------------------------------------------

    def start_all(self) -> None:
        """Start what does not run: two workers a path, one controller, one producer."""
        for path in JobPath:
            for number in (1, 2):
                self.start_worker(f"{path}-{number}")
        self.start_controller("controller-1")
        if not self.producer.process.alive:
            self.producer = Producer(self.process("producer"), self.tell)

    def start_worker(self, who: str) -> None:
        """Start a worker unless it runs; its name tells its path."""
        if who not in self.workers or not self.workers[who].process.alive:
            path = JobPath(who.rpartition("-")[0])
            self.workers[who] = Worker(
                self.process(who), path, self.kinds, self.queues, self.tell, self.chance,
                self.quality,
            )  # fmt: skip

    def start_controller(self, who: str) -> None:
        """Start a controller unless it runs."""
        if who not in self.controllers or not self.controllers[who].process.alive:
            self._controllers += 1
            owner = f"{who}:{self._controllers}"
            process = self.process(who)
            self.controllers[who] = Controller(process, self.tell, self.policies, owner)

    def submit(self, kind: Kind, key: str) -> None:
        """Let the producer submit a job; its id is returned by nobody, the history has it."""
        self.jobs += 1
        if kind.on_failure is not None:
            key = f"k{self.jobs % _KEYS_IN_ORDER}"
        # Each third id is that of the job before, which may be another sub-pipeline's.
        shared = self.jobs % 3 == 0 and len(self.kinds) > 1 and kind.name != self._last_kind
        job_id = self._last_id if shared else f"job-{self.jobs}"
        self._last_id, self._last_kind = job_id, kind.name
        if self.producer.process.alive:
            self.producer.process.spawn(lambda: self.producer.submit(kind, job_id, key))

    def person(self, act: Callable[[Operator], None]) -> Process:
        """Let a person give one command, in a process of its own."""
        self._people += 1
        operator = Operator(self.process(f"operator-{self._people}"), self.tell, self.policies)
        operator.process.spawn(lambda: act(operator))
        return operator.process

    def processes(self) -> list[Process]:
        """All processes that live."""
        workers = [worker.process for worker in self.workers.values()]
        controllers = [controller.process for controller in self.controllers.values()]
        return [one for one in (self.producer.process, *workers, *controllers) if one.alive]

    def lose_waiting(self) -> None:
        """The broker loses what waits in it, but what nobody else knows of.

        A job whose submission found the ledger away has nothing but its message. That ledger and
        broker fail it one after the other is more than rollout promises to survive.
        """
        held = {job.ref for kind in self.kinds for job in self.open_jobs(kind.name)}
        for message in self.queues.take_out(held):
            self.tell("message lost", job=label(message.name, message.job_id))

    def delay_waiting(self, delay_s: Callable[[], float]) -> None:
        """What waits in the broker vanishes from it, and comes back late."""
        for message in self.queues.take_out():
            self.tell("delayed", job=label(message.name, message.job_id))
            self.late += 1
            self.scheduler.spawn("broker", lambda one=message: self._arrive(one), delay_s())  # type: ignore[misc]  # bound now

    def _arrive(self, message: MemoryMessage) -> None:
        self.late -= 1
        self.queues.again(message)

    def ledger_jobs(self) -> list[str]:
        """Ids of the unfinished jobs that the ledger holds."""
        return [label(*job.ref) for kind in self.kinds for job in self.open_jobs(kind.name)]

    def open_jobs(self, name: str) -> list[JobRecord]:
        """Unfinished jobs of one sub-pipeline."""
        with self.ledger._rows as rows:
            return list(rows.open_jobs(name))

    # Rest ----------------------------------------------------------------------------------

    def heal(self) -> None:
        """Mend every line, correct every clock, and start what is dead; one controller is left."""
        self.away.clear()
        self.ledger.held_rows.clear()
        if "controller-2" in self.controllers:
            self.controllers["controller-2"].process.kill()
        for process in self.processes():
            process.cut.clear()
            process.hold_at = None
            process.let_go()
            process.go_on()
            process.clock.skew_s = process.slow_s = process.answers_lost = 0.0
        self.start_all()

    def settle(self) -> None:
        """With everything up, wait until nothing is open, and tell what is there then."""
        self.heal()
        limit_s = self.scheduler.now_s + REST_S
        while True:
            # A tick that began when all was quiet has ended by then, slow answers and all.
            self.scheduler.run(self.scheduler.now_s + 2 * TICK_S)
            self.tell("forgotten", jobs=self.ledger.sharing.forgotten())
            if not self._busy():
                self._observe()
            if not self._busy() or self.scheduler.now_s > limit_s:
                break
        outcomes = {job_id: self._outcome(job_id) for job_id in self._touched}
        readings = {kind.name: self.store.read(kind.name) for kind in self.kinds}
        self.tell(
            "settled", open=self.ledger_jobs(), outcomes=outcomes, readings=readings,
            states={state.name: state for state in self.ledger.controls()},
            all_killed=self.ledger.all_latch().killed, queues=self.queues.holds(),
        )  # fmt: skip
        self._touched.clear()

    def _busy(self) -> bool:
        if self.late or self.ledger_jobs() or not self.queues.empty():
            return True
        leader = self.ledger.leader()  # a dead one's lease has to run out first
        living = [one.owner for one in self.controllers.values() if one.process.alive]
        return leader is None or leader[0] not in living

    def _observe(self) -> None:
        """Ask the producer's router where some keys would go now."""
        keys = [f"seen-{self.chance.randrange(10_000)}" for _ in range(_KEYS_OBSERVED)]

        def ask() -> None:
            for kind in self.kinds:
                for key in keys:
                    decision = self.producer.service.decide(kind.name, key)
                    self.tell(
                        "observed", name=kind.name, key=key, path=decision.path,
                        reason=decision.reason, revision=decision.revision,
                    )  # fmt: skip

        self.producer.process.spawn(ask, name="observer")
        self.scheduler.run(self.scheduler.now_s + TICK_S)

    def lose_rows(self) -> None:
        """The ledger fails over to a copy that lags: starts of a moment ago have no row there.

        Their workers live and have their messages. An unsafe one is spared: should its worker die,
        nobody could say that it has begun (docs/reliability.md).
        """
        repeatable = {kind.name for kind in self.kinds if kind.effects.repeatable}
        running = {
            (one.running.name, one.running.job_id)
            for one in self.workers.values()
            if one.process.alive and one.running is not None
        }
        with self.ledger._rows as rows:
            for name, job_id in sorted(running):
                record = rows.jobs.get((name, job_id))
                if record is None or name not in repeatable or record.state is not JobState.STARTED:
                    continue
                rows.lose((name, job_id))
                self.tell("row lost", job=label(name, job_id))

    def _outcome(self, labelled: str) -> Outcome | None:
        name, _, job_id = labelled.partition(" ")
        try:
            record = self.ledger.job(name, job_id)
        except UnknownJob:
            return None
        return Outcome(
            state=JobState(record.state),
            commits=record.way.count('"what":"committed"'),
            failures=record.way.count('"what":"failed"'),
            reopened=record.way.count('"reason":"retried_by_hand"'),
            moves=record.way.count('"what":"handed to legacy"'),
        )
