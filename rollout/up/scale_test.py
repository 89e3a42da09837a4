"""Runs the slices of a scale test: 1, 2, 4, ... workers in turns, within a bound of time."""

import resource
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from rollout.errors import NotShadowable, RolloutError
from rollout.preflight.facts import JobFact
from rollout.routing.effects import Effects
from rollout.scaling.slices import Measured, Slice, WorkerUse, levels_to, plan
from rollout.up.hand import Hand
from rollout.up.machine_use import busy_s, cores, memory_left_bytes, waiting_in
from rollout.up.subject import Subject

LOOK_S = 0.02
"""Pause between two looks at what workers wait in."""
MEMORY_SHARE = 0.8
"""Workers may have this share of the memory that is left; the rest is the machine's."""


class NothingToRun(RolloutError):
    """No recorded input can be run."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"a scale test of {name!r} needs recorded inputs, got none",
            'give them: --inputs FILE, JSON lines of {"args": [], "kwargs": {}}',
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What may be used.

    Attributes:
        module: Module of the Celery app.
        workers_max: Most workers at once.
        seconds: How long all of it may take; a job that runs then is not waited for.
        limit_s: Longest a job may take.
    """

    module: str
    workers_max: int
    seconds: float
    limit_s: float


def scale(
    subject: Subject, effects: str, jobs: Sequence[JobFact], source: str, given: Plan
) -> Measured:
    """Measure throughput with 1, 2, 4, ... workers.

    Raises:
        NothingToRun: No job's arguments are known.
        NotShadowable: The paths touch the world.
    """
    known = [one for one in jobs if one.arguments is not None]
    if not known:
        raise NothingToRun(subject.name)
    if not effects or not Effects(effects).shadowable:
        raise NotShadowable(subject.name, effects or "unknown")
    inputs: list[list[Any]] = [[list(one.args or ()), dict(one.kwargs or {})] for one in known]
    used = _cpu_s()
    with ExitStack() as stack:
        crew = _Crew(subject.name, inputs, given, stack)
        crew.measure()
    return Measured(
        subject.name, crew.slices, cores(), len(inputs), source,
        time.monotonic() - crew.began, _cpu_s() - used, crew.memory_bytes, crew.ended,
        given.workers_max, crew.memory_cut,
    )  # fmt: skip


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return children.ru_utime + children.ru_stime + mine.ru_utime + mine.ru_stime


class _Crew:
    """The workers of one test; all of them end with its stack."""

    def __init__(self, name: str, inputs: list[list[Any]], given: Plan, stack: ExitStack) -> None:
        self.slices: list[Slice] = []
        self.memory_bytes = 0
        self.memory_cut = False
        self.ended = ""
        self.began = time.monotonic()
        self._name = name
        self._inputs = inputs
        self._given = given
        self._stack = stack
        self._hands: list[Hand] = []
        self._next: list[int] = []

    def measure(self) -> None:
        """Warm up, then run round by round, up and down, until the time is over."""
        self._grow(1)
        warm = self._slice(1, 0, 0.0, keep=False)
        if warm is None:
            return
        levels = self._fitting(levels_to(self._given.workers_max), warm.uses[0].memory_bytes)
        self._grow(levels[-1])
        if self._slice(levels[-1], 0, 0.0, keep=False) is None:
            return
        left = self._given.seconds - (time.monotonic() - self.began)
        rounds, slice_s = plan(levels, max(left, 0.0), warm.uses[0].longest_s)
        longest = warm.uses[0].longest_s
        for number in range(rounds):
            for workers in levels if number % 2 == 0 else levels[::-1]:
                if self._left_s() < slice_s:
                    self.ended = f"{self._given.seconds:g} s were over after {number} rounds"
                    return
                ran = self._slice(workers, number, slice_s, keep=True)
                if ran is None:
                    return
                longest = max(longest, *(one.longest_s for one in ran.uses))

    def _left_s(self) -> float:
        return self._given.seconds - (time.monotonic() - self.began)

    def _grow(self, workers: int) -> None:
        """Start workers, all at once, and give them their inputs."""
        new = workers - len(self._hands)
        for _ in range(new):
            hand = Hand("rollout.up.scaled_worker", (self._given.module, self._name))
            self._stack.enter_context(closing(hand))
            # Each begins elsewhere: no two run the same input at the same time by design.
            self._next.append(len(self._hands) * len(self._inputs) // max(workers, 1))
            self._hands.append(hand)
        for hand in self._hands[workers - new :]:
            hand.wait_until_ready()
            hand.tell(["inputs", self._inputs])

    def _fitting(self, levels: list[int], memory_bytes: int) -> list[int]:
        """Levels whose workers fit into what memory is left."""
        left = memory_left_bytes()
        fitting = [
            one for one in levels if left is None or one * memory_bytes <= MEMORY_SHARE * left
        ]
        self.memory_cut = len(fitting) < len(levels)
        return fitting or levels[:1]

    def _slice(self, workers: int, number: int, seconds: float, *, keep: bool) -> Slice | None:
        """Let so many workers run for a moment; None when one of them was lost."""
        # A slice of no time is one job each.
        seconds = max(seconds, 1e-3)
        hands = self._hands[:workers]
        busy_then, then = busy_s(), time.monotonic()
        for at, hand in enumerate(hands):
            hand.tell(["run", seconds, self._next[at]])
        calls, memory_left = self._look(hands, seconds)
        busy_now, now = busy_s(), time.monotonic()
        uses = []
        for at, hand in enumerate(hands):
            limit_s = min(self._given.limit_s, max(1.0, self._left_s()) + self._given.limit_s)
            answer = hand.receive(limit_s)
            if isinstance(answer, str):
                self.ended = f"a worker was lost with {workers} at once: {answer}"
                return None
            *use, self._next[at] = answer
            uses.append(WorkerUse(*use))
        self.memory_bytes = max(self.memory_bytes, sum(one.memory_bytes for one in uses))
        others = 0.0
        if busy_then is not None and busy_now is not None:
            ours = sum(one.cpu_s for one in uses) / seconds
            others = max(0.0, (busy_now - busy_then) / max(now - then, 1e-9) - ours)
        ran = Slice(workers, number, uses, others, calls, memory_left)
        if keep:
            self.slices.append(ran)
        return ran

    def _look(self, hands: Sequence[Hand], seconds: float) -> tuple[Counter[str], int | None]:
        """See what the workers wait in until the slice is over."""
        ends = time.monotonic() + seconds
        calls: Counter[str] = Counter()
        memory_left = memory_left_bytes()
        while (left := ends - time.monotonic()) > 0:
            time.sleep(min(LOOK_S, left))
            calls += waiting_in(hand.pid for hand in hands)
        after = memory_left_bytes()
        if memory_left is not None and after is not None:
            memory_left = min(memory_left, after)
        return calls, memory_left
