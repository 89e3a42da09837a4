"""One week of work, commands and faults, drawn from the run's seed.

Work and faults come in one episode of half an hour; for the rest of the week everything rests, as
nothing new could happen then. Every fault is mended within the episode or at its end.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random

from rollout.pilot.ports import Recovery
from rollout.routing.decision import JobPath, Reason
from rollout.routing.stages import BP_ALL, Event, Stage
from tests.simulation.limits import LONG_QUEUE
from tests.simulation.process import PORTS, Process
from tests.simulation.producer import Kind
from tests.simulation.world import World

EPISODE_S = 1_500.0
_BURSTS_MEAN = 5
_FAULTS_MAX = 3
_SCOPES_BP = (0, 100, 5_000, 9_500, BP_ALL)


class Chaos:
    """Plans weeks for a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance: Random = world.chance
        self._faults: list[Callable[[], None]] = [
            self._kill_child, self._kill_child, self._kill_worker, self._stop_worker,
            self._pause_somebody, self._pause_somebody, self._kill_controller,
            self._second_controller, self._kill_producer, self._cut_one, self._cut_one,
            self._cut_all, self._cut_all, self._wipe_store, self._lose_messages, self._duplicate,
            self._duplicate, self._delay, self._skew, self._concurrent_breaks, self._slow_one,
            self._slow_one, self._slow_one, self._hold_row, self._long_queue, self._lose_answers,
            self._lose_rows, self._clock_far_off,
        ]  # fmt: skip

    def plan(self) -> None:
        """Put one week's doings on the schedule."""
        chance, world = self._chance, self._world
        world.quality.concurrent_fails, world.quality.long = 0.08, 0.05
        world.queues.seen.clear()  # copies come within days; see `keep_days` in docs
        for _ in range(1 + round(2 * (_BURSTS_MEAN - 1) * chance.random())):
            self._at(self._submit)
        automatic = world.policies.default.automatic
        for _ in range(chance.choice((0, 0, 1) if automatic else (1, 1, 2, 3))):
            self._at(self._command)
        if automatic:
            for _ in range(3):
                self._at(self._drill)
        for _ in range(chance.randrange(_FAULTS_MAX + 1)):
            self._at(chance.choice(self._faults))

    def _at(self, act: Callable[[], None]) -> None:
        self._world.scheduler.spawn("chaos", act, EPISODE_S * self._chance.random())

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._world.scheduler.spawn("chaos", act, seconds)

    def _tell(self, fault: str, **facts: object) -> None:
        self._world.tell("fault", fault=fault, **facts)

    # Work and commands ---------------------------------------------------------------------

    def _kind(self) -> Kind:
        return self._chance.choice(self._world.kinds)

    def _submit(self) -> None:
        """One job, or a few at once."""
        for _ in range(self._chance.choice((1, 1, 3))):
            self._world.submit(self._kind(), f"k{self._chance.randrange(1_000)}")

    def _command(self) -> None:
        """One person's command, or two at once; now and then the person's machine dies in it."""
        for _ in range(1 + (self._chance.random() < 0.15)):
            process = self._one_command()
            if self._chance.random() < 0.15:
                self._later(0.05 * self._chance.random(), process.kill)

    def _one_command(self) -> Process:
        """Mostly what a person would do now, so that jobs run concurrently; else anything."""
        chance, world = self._chance, self._world
        name = self._kind().name
        state = world.ledger.control(name)
        sensible = chance.random() < 0.5
        if sensible and state.killed:
            of_all = world.ledger.all_latch().killed
            return world.person(lambda one: one.rearm(None if of_all else name))
        if sensible and state.frozen:
            return world.person(lambda one: one.change(name, Event.UNFREEZE, None, seen=True))
        if sensible and state.stage in (Stage.LEGACY, Stage.SHADOW):
            return world.person(lambda one: one.change(name, Event.START, None, seen=True))
        if sensible and world.policies.default.automatic:
            return world.person(lambda one: one.retry_failed(name))  # the controller does the rest
        if sensible and state.scope_bp < 5_000:
            bp = state.scope_bp_max
            return world.person(lambda one: one.change(name, Event.SCOPE, bp, seen=True))
        return self._any_command(name)

    def _any_command(self, name: str) -> Process:
        chance, world = self._chance, self._world
        drawn = chance.random()
        if drawn < 0.2:
            return world.person(lambda one: one.kill(name))
        if drawn < 0.25:
            return world.person(lambda one: one.kill(None))
        if drawn < 0.4:
            return world.person(lambda one: one.rearm(name))
        if drawn < 0.45:
            return world.person(lambda one: one.rearm(None))
        if drawn < 0.5:
            return world.person(lambda one: one.retry_failed(name))
        event = chance.choice(
            (
                Event.START, Event.SCOPE, Event.SCOPE, Event.DOUBLE, Event.DOUBLE, Event.DOUBLE,
                Event.GRADUATE, Event.SHADOW, Event.REVERT, Event.FREEZE,
            )
        )  # fmt: skip
        scope_bp = chance.choice(_SCOPES_BP) if event is Event.SCOPE else None
        seen = chance.random() < 0.5
        return world.person(lambda one: one.change(name, event, scope_bp, seen=seen))

    def _drill(self) -> None:
        """Now and then somebody breaks both paths on purpose, and both heal alike."""
        chance, world = self._chance, self._world
        since = world.store.clock.now() - timedelta(days=28)
        enough = len(world.ledger.recoveries(None, since)) >= 14 * len(world.kinds)
        # Each step asks for one of its own; more of them cost time and show nothing new.
        if chance.random() < (0.8 if enough else 0.3):
            return
        at, pair, seconds = world.store.clock.now(), f"{chance.random()}", chance.uniform(5, 50)
        for kind in world.kinds:
            for path in JobPath:
                healed = Recovery(kind.name, at, "drill", path, "worker killed", at, seconds, 600.0)
                world.ledger.add_recovery(replace(healed, pair_id=f"{kind.name} {pair}"))

    # Faults --------------------------------------------------------------------------------

    def _someone(self) -> Process:
        return self._chance.choice(self._world.processes())

    def _minutes(self, most: float) -> float:
        """Seconds, short ones more often than long ones."""
        return 60 * most * self._chance.random() ** 2

    def _kill_child(self) -> None:
        worker = self._chance.choice([*self._world.workers.values()])
        reason = self._chance.choice((Reason.WORKER_LOST, Reason.WORKER_LOST, Reason.TIME_LIMIT))
        if worker.process.alive:
            self._tell("child killed", process=worker.process.who, reason=reason)
            worker.process.spawn(lambda: worker.lose_child(reason), name=worker.process.who)

    def _kill_worker(self) -> None:
        worker = self._chance.choice([*self._world.workers.values()])
        if worker.process.alive:
            self._tell("worker killed", process=worker.process.who)
            worker.die()
            who = worker.process.who
            self._later(self._minutes(40), lambda: self._world.start_worker(who))

    def _stop_worker(self) -> None:
        worker = self._chance.choice([*self._world.workers.values()])
        if worker.process.alive:
            self._tell("worker told to stop", process=worker.process.who)
            worker.process.spawn(worker.stop, name=worker.process.who)
            who = worker.process.who
            self._later(120, lambda: self._world.start_worker(who))

    def _pause_somebody(self) -> None:
        process, seconds = self._someone(), self._minutes(60)
        self._tell("paused", process=process.who, seconds=round(seconds))
        process.stop(seconds)

    def _kill_controller(self) -> None:
        for who, controller in self._world.controllers.items():
            if controller.process.alive:
                self._tell("controller killed", process=who)
                controller.process.kill()
                self._later(self._minutes(40), lambda who=who: self._world.start_controller(who))  # type: ignore[misc]  # bound now
                return

    def _second_controller(self) -> None:
        self._tell("second controller")
        self._world.start_controller("controller-2")
        second = self._world.controllers["controller-2"].process
        self._later(self._minutes(60), second.kill)

    def _kill_producer(self) -> None:
        producer = self._world.producer.process
        if producer.alive:
            self._tell("producer killed")
            producer.kill()
            self._later(self._minutes(10), self._world.start_all)

    def _cut_one(self) -> None:
        process, port = self._someone(), self._chance.choice(PORTS)
        self._tell("cut off", process=process.who, port=port)
        process.cut.add(port)
        self._later(self._minutes(60), lambda: process.cut.discard(port))

    def _slow_one(self) -> None:
        process = self._someone()
        process.slow_s = self._minutes(3)
        self._tell("line slow", process=process.who, seconds=round(process.slow_s))

    def _cut_all(self) -> None:
        port = self._chance.choice(PORTS)
        self._tell("server away", port=port)
        self._world.away.add(port)
        self._later(self._minutes(40), lambda: self._world.away.discard(port))

    def _wipe_store(self) -> None:
        self._tell("store restarted empty")
        self._world.store.wipe()

    def _lose_messages(self) -> None:
        self._tell("broker lost its messages")
        self._world.lose_waiting()

    def _duplicate(self) -> None:
        for message in self._world.queues.seen[-4:]:
            self._tell("delivered again", job=message.job_id, path=message.path)
            self._later(self._minutes(40), lambda one=message: self._world.queues.again(one))  # type: ignore[misc]  # bound now

    def _delay(self) -> None:
        self._tell("messages delayed")
        self._world.delay_waiting(lambda: self._minutes(60))

    def _skew(self) -> None:
        process = self._someone()
        process.clock.skew_s = self._chance.uniform(-200, 200)
        self._tell("clock off", process=process.who, seconds=round(process.clock.skew_s))

    def _hold_row(self) -> None:
        """A forgotten transaction holds a control row: no kill, change or decision comes by."""
        name = self._kind().name
        self._tell("control row held", name=name)
        self._world.ledger.held_rows.add(name)
        self._later(self._minutes(20), lambda: self._world.ledger.held_rows.discard(name))

    def _long_queue(self) -> None:
        """More jobs than a slice moves wait when somebody pulls the switch."""
        kind = self._kind()
        self._tell("long queue", name=kind.name)
        for number in range(LONG_QUEUE):
            self._world.submit(kind, f"long-{number}")
        self._later(self._chance.random(), lambda: self._killed(kind.name))

    def _killed(self, name: str) -> None:
        self._world.person(lambda one: one.kill(name))

    def _clock_far_off(self) -> None:
        """A worker's clock, wrong by more than it may be silent."""
        worker = self._chance.choice([*self._world.workers.values()])
        worker.process.clock.skew_s = self._chance.choice((-900, 900))
        self._world.quality.long = 0.6  # so that its jobs are renewed
        self._tell("clock off", process=worker.process.who, seconds=worker.process.clock.skew_s)

    def _lose_rows(self) -> None:
        self._tell("ledger lost rows")
        self._world.lose_rows()

    def _lose_answers(self) -> None:
        process = self._someone()
        self._tell("answers lost", process=process.who)
        process.answers_lost = 0.3
        self._later(self._minutes(20), lambda: setattr(process, "answers_lost", 0.0))

    def _concurrent_breaks(self) -> None:
        self._tell("concurrent path broken")
        self._world.quality.concurrent_fails = 1.0
