"""A virtual clock and the actors that share it: greenlets, picked in the order of their due times.

Nothing here reads a real clock. An actor gives way with `pause` or `park`; the actor that is due
next goes on, and the clock jumps to its time. Equal seeds give equal runs, to the last step.
"""

import heapq
from collections.abc import Callable
from itertools import count

from greenlet import GreenletExit, getcurrent, greenlet

FOREVER_S = 1e12


class Actor:
    """One thread of execution of a simulated process."""

    __slots__ = ("dead", "due_s", "green", "not_before_s", "ticket", "waits", "who")

    def __init__(self, who: str, green: "greenlet") -> None:
        self.who = who
        self.green = green
        self.dead = False
        self.not_before_s = 0.0
        self.due_s = 0.0
        self.ticket = -1
        self.waits = False


class Scheduler:
    """Runs actors one at a time on a clock of its own.

    Attributes:
        now_s: Virtual seconds since the beginning.
        current: The actor that runs; None between two runs.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self.current: Actor | None = None
        self._due: list[tuple[float, int, Actor]] = []
        self._number = count()
        self._until_s = 0.0
        self._hub = getcurrent()

    def spawn(self, who: str, act: Callable[[], None], after_s: float = 0.0) -> Actor:
        """Begin an actor after a while; it ends when `act` returns."""
        actor = Actor(who, greenlet(act, self._hub))
        self._push(actor, self.now_s + after_s)
        return actor

    def pause(self, seconds: float) -> None:
        """Let the actor that runs go on after so many seconds, and others before it."""
        due_s = self.now_s + seconds
        if due_s <= self._until_s and (not self._due or self._due[0][0] > due_s):
            self.now_s = due_s  # nobody is due before: no need to switch
            return
        actor = self.current
        assert actor is not None, "only an actor can pause"
        self._push(actor, due_s)
        self._hub.switch()

    def park(self) -> None:
        """Let the actor that runs go on when somebody wakes it."""
        actor = self.current
        assert actor is not None, "only an actor can park"
        actor.waits = True
        self._hub.switch()

    def wake(self, actor: Actor, after_s: float = 0.0) -> None:
        """Let a parked actor go on; another one is left alone."""
        if actor.waits and not actor.dead:
            actor.waits = False
            self._push(actor, self.now_s + after_s)

    def stop(self, actor: Actor, seconds: float) -> None:
        """Freeze an actor where it stands, as SIGSTOP does, for so many seconds.

        A second stop never shortens the first: `go_on` would not know of it any more.
        """
        actor.not_before_s = max(actor.not_before_s, self.now_s + seconds)

    def go_on(self, actor: Actor) -> None:
        """Undo `stop` before its time is over."""
        frozen = actor.not_before_s > self.now_s
        actor.not_before_s = 0.0
        if frozen and not actor.waits and not actor.dead:
            self._push(actor, max(actor.due_s, self.now_s))

    def kill(self, actor: Actor) -> None:
        """End an actor where it stands, as SIGKILL does: nothing of it runs any more."""
        if actor.dead:
            return
        actor.dead = True
        if actor is self.current:
            raise GreenletExit
        if not actor.green.dead:
            here = self.current
            actor.green.parent = getcurrent()  # where the throw comes back to
            actor.green.throw(GreenletExit)
            self.current = here

    def run(self, until_s: float) -> None:
        """Run all that is due until then; the clock then shows that time.

        Raises:
            Exception: What an actor did not catch, which is a defect of the program.
        """
        self._hub = getcurrent()
        self._until_s = until_s
        due = self._due
        while due and due[0][0] <= until_s:
            at_s, ticket, actor = heapq.heappop(due)
            if actor.dead or ticket != actor.ticket:
                continue
            if actor.not_before_s > at_s:
                wanted_s = actor.due_s
                self._push(actor, actor.not_before_s)
                actor.due_s = wanted_s
                continue
            self.now_s = at_s
            self.current = actor
            actor.green.parent = self._hub
            actor.green.switch()
            actor.dead = actor.dead or actor.green.dead
        self.current = None
        self.now_s = until_s

    def leap(self, to_s: float) -> None:
        """Set the clock forward over a time in which nothing would happen."""
        ahead_s = to_s - self.now_s
        if ahead_s > 0:
            self._due = [(at_s + ahead_s, ticket, actor) for at_s, ticket, actor in self._due]
            for _, ticket, actor in self._due:
                if ticket == actor.ticket:
                    actor.due_s += ahead_s
                    actor.not_before_s += ahead_s
            self.now_s = to_s

    def _push(self, actor: Actor, due_s: float) -> None:
        actor.due_s = due_s
        actor.ticket = next(self._number)
        heapq.heappush(self._due, (due_s, actor.ticket, actor))
