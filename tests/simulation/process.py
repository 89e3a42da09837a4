"""One simulated process: its actors, its clock, and its lines to ledger, store and broker.

Every call of a port goes through a line. Before the call the actor gives way, so that anything may
happen between two calls: another actor runs, the process is killed or paused, the line is cut.
A line that is cut raises what the adapter would. Now and then the answer of a call that was carried
out is lost.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any, cast

from rollout.adapters.memory.queues import MemoryMessage
from rollout.errors import BrokerUnreachable, ControlStoreUnreachable, LedgerUnreachable
from rollout.jobs.ports import Ledger
from rollout.pilot.ports import PilotLedger
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import ControlStore
from rollout.routing.rule import Reading
from tests.hand_clock import START
from tests.simulation.scheduler import Actor, Scheduler
from tests.simulation.watched import WatchedQueues

PORTS = ("ledger", "store", "broker")
CUT = ConnectionError("cut")
_ERRORS: dict[str, Callable[[], Exception]] = {
    "ledger": lambda: LedgerUnreachable("memory:", CUT),
    "store": lambda: ControlStoreUnreachable("memory:", CUT),
    "broker": lambda: BrokerUnreachable("memory:", CUT),
}


class Turbulence:
    """How long calls take and how often their answers are lost; drawn from the run's one seed."""

    def __init__(self, chance: Random, *, calm: bool = False) -> None:
        self._draw = chance.random
        self._calm = calm

    def before_s(self, slow_s: float) -> float:
        """Seconds on the way to a server; now and then long enough for everything to change."""
        if self._calm:
            return 0.0
        drawn = self._draw()
        return (0.01 + slow_s) * drawn if drawn < 0.97 else (drawn - 0.97) * 2_000

    def below(self, share: float) -> bool:
        """Draw, for what happens to this share of the calls."""
        return self._draw() < share

    def answer_is_slow(self) -> bool:
        """Whether others run between the call and its answer."""
        return not self._calm and self._draw() < 0.05


class SkewedClock:
    """`ports.Clock` of one process: virtual time, off by `skew_s`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.skew_s = 0.0

    def now(self) -> datetime:
        """Aware UTC time, as this process believes."""
        return START + timedelta(seconds=self._scheduler.now_s + self.skew_s)

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self._scheduler.now_s

    def sleep(self, seconds: float) -> None:
        """Give way for so long."""
        self._scheduler.pause(seconds)


class Process:
    """A process of the simulated system.

    Attributes:
        cut: Ports that this process cannot reach.
        slow_s: Seconds that each of its calls may take.
        answers_lost: Share of the ledger's answers that are lost on their way back.
        away: Ports that nobody can reach; one set for all processes.
        hold_at: Stop the next actor that is about to make this call (`ledger.commit`, say) and
            put it into `held`, for a test that chooses the interleaving itself.
    """

    def __init__(
        self,
        who: str,
        scheduler: Scheduler,
        turbulence: Turbulence,
        away: set[str],
        servers: dict[str, Any],
    ) -> None:
        self.who = who
        self.scheduler = scheduler
        self.clock = SkewedClock(scheduler)
        self.cut: set[str] = set()
        self.slow_s = 0.0
        self.answers_lost = 0.0
        self.hold_at: str | None = None
        self.held: list[Actor] = []
        self.alive = True
        self._away = away
        self._turbulence = turbulence
        self._actors: list[Actor] = []
        self.ledger = cast(Ledger, self._line("ledger", servers["ledger"]))
        self.trials = cast(PilotLedger, self.ledger)
        self.store = cast(ControlStore, self._line("store", servers["store"]))
        self.broker = cast(WatchedQueues, self._line("broker", servers["broker"]))

    def spawn(self, act: Callable[[], None], *, name: str = "", after_s: float = 0.0) -> Actor:
        """Begin an actor of this process."""
        self._actors = [actor for actor in self._actors if not actor.dead]
        actor = self.scheduler.spawn(name or self.who, act, after_s)
        self._actors.append(actor)
        return actor

    def kill(self) -> None:
        """SIGKILL."""
        self.alive = False
        self.held.clear()
        # Last of all the one that runs, should it be one of them: it goes no further.
        for actor in sorted(self._actors, key=lambda actor: actor is self.scheduler.current):
            self.scheduler.kill(actor)

    def stop(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so many seconds."""
        for actor in self._actors:
            self.scheduler.stop(actor, seconds)

    def go_on(self) -> None:
        """SIGCONT."""
        for actor in self._actors:
            self.scheduler.go_on(actor)

    def let_go(self) -> None:
        """Let the actors that were held go on."""
        for actor in self.held:
            self.scheduler.wake(actor)
        self.held.clear()

    def reaches(self, port: str) -> bool:
        """Whether a call of this port gets through now."""
        return port not in self.cut and port not in self._away

    def _line(self, port: str, server: Any) -> "_Line":
        kind = {"store": _StoreLine, "broker": _BrokerLine}.get(port, _Line)
        return kind(self, port, server)

    def before(self, call: str) -> None:
        """Give way before a call."""
        self.scheduler.pause(self._turbulence.before_s(self.slow_s))
        if self.hold_at == call:
            self.hold_at = None
            actor = self.scheduler.current
            assert actor is not None, "calls are made by actors"
            self.held.append(actor)
            self.scheduler.park()

    def loses_answer(self) -> bool:
        """Whether the answer of a call that was carried out is lost."""
        return self.answers_lost > 0 and self._turbulence.below(self.answers_lost)

    def after(self) -> None:
        """Give way, now and then, before the answer."""
        if self._turbulence.answer_is_slow():
            self.scheduler.pause(self._turbulence.before_s(self.slow_s))


class _Line:
    """A port behind a network; attributes that are no methods are passed through."""

    def __init__(self, process: Process, port: str, server: Any) -> None:
        self._process = process
        self._port = port
        self._server = server

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._server, name)
        if not callable(call):
            return call
        process, port, said = self._process, self._port, f"{self._port}.{name}"
        error = _ERRORS[port]

        def through(*given: Any, **named: Any) -> Any:
            process.before(said)
            if not process.reaches(port):
                raise error()
            answer = call(*given, **named)
            process.after()
            if not process.reaches(port) or (port == "ledger" and process.loses_answer()):
                raise error()
            return answer

        self.__dict__[name] = through  # made once for each method that is used
        return through


class _BrokerLine(_Line):
    """The broker's line: a message that never reached its taker is delivered again."""

    def take(self, name: str, path: JobPath) -> MemoryMessage | None:
        """Take a message, unless the line is cut or the taker dies before it has it."""
        process = self._process
        process.before("broker.take")
        if not process.reaches("broker"):
            raise BrokerUnreachable("memory:", CUT)
        message: MemoryMessage | None = self._server.take(name, path)
        arrived = False
        try:
            process.after()
            arrived = process.reaches("broker")
        finally:
            if message is not None and not arrived:
                self._server.give_back(message)
        if not arrived:
            raise BrokerUnreachable("memory:", CUT)
        return message


class _StoreLine(_Line):
    """The control store's line: its `read` never raises."""

    def read(self, name: str) -> Reading:
        """Read, or say that the store did not answer."""
        process = self._process
        process.before("store.read")
        if process.reaches("store"):
            reading: Reading = self._server.read(name)
            process.after()
            if process.reaches("store"):
                return reading
        self._server.no_answer(name)
        return Reading(None, doubt=Reason.UNREACHABLE)
