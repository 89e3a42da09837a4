"""Which step of a graph can run now: event-driven counters, no clock, no thread, no polling.

The board is the one authority on states, resources and what is ready. A run asks `take` when it
has a free slot, and tells `succeed` or `fail`, and `release` when the work has truly ended: a step
over its time limit has failed before its thread ended, and holds its resources until it does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from rollout.execution.declaration import Barrier, Failure, shortened
from rollout.execution.graph import Graph
from rollout.execution.policies import TRUTH, Fate, StepState

# How often a ready step with resources is passed over by ones behind it before what it needs is
# kept for it: a heavy step among many light ones would otherwise wait for all of them.
PASSED_OVER_MAX = 8

_WAITING, _READY, _RUNNING = StepState.WAITING, StepState.READY, StepState.RUNNING
_SUCCEEDED, _CANCELLED = StepState.SUCCEEDED, StepState.CANCELLED


@dataclass
class Line:
    """Ready steps that take the same of the same resources, best rank first."""

    takes: tuple[tuple[str, int], ...]
    ranks: list[int] = field(default_factory=list)
    passed_over: int = 0


class Board:
    """States of one run of a graph.

    Args:
        graph: What runs.
        remaining: Longest way to the end by place, in seconds: the largest starts first.
        kept: Results of steps that ran before, by place; they do not run again.
    """

    def __init__(
        self, graph: Graph, remaining: Sequence[float], kept: Mapping[int, Any] | None = None
    ) -> None:
        size = len(graph.nodes)
        self.graph = graph
        self.children = graph.children
        self.states = [_WAITING] * size
        self.results: list[Any] = [None] * size
        self.waiting = [len(parents) for parents in graph.parents]
        self.worst = [_SUCCEEDED] * size
        self.released_by: dict[int, int] = {}
        self.ended: list[int] = []
        self.left = size
        self.ready = 0
        self.free = dict(graph.capacities)
        self.holders: dict[str, dict[int, int]] = {name: {} for name in graph.capacities}
        self.place_of = sorted(range(size), key=lambda place: (-remaining[place], place))
        self.rank_of = [0] * size
        for rank, place in enumerate(self.place_of):
            self.rank_of[place] = rank
        self._passes = [isinstance(node, Barrier) and node.check is None for node in graph.nodes]
        self.lines: list[Line] = []
        self.line_of = self._make_lines()
        # Most graphs have no resources: then there is nothing to choose.
        plain = len(self.lines) == 1 and not self.lines[0].takes
        self._only = self.lines[0] if plain else None
        self._passing: list[int] = []
        self.kept = frozenset(kept or ())
        self._open(kept or {})

    def _make_lines(self) -> list[Line]:
        if not self.graph.capacities:
            self.lines.append(Line(()))
            return self.lines * len(self.graph.nodes)
        lines: dict[tuple[tuple[str, int], ...], Line] = {}
        line_of = []
        for node in self.graph.nodes:
            takes = tuple(sorted(node.resources.items()))
            if takes not in lines:
                lines[takes] = Line(takes)
                self.lines.append(lines[takes])
            line_of.append(lines[takes])
        return line_of

    def _open(self, kept: Mapping[int, Any]) -> None:
        for place in kept:
            self.states[place] = _RUNNING
        for place in self.graph.order:
            if place in kept:
                self.succeed(place, kept[place])
            elif self.states[place] is _WAITING and not self.waiting[place]:
                self._arrive(place)
                self._let_pass()

    # Taking ----------------------------------------------------------------------------------

    def take(self) -> int | None:
        """Start the ready step with the longest remaining path whose resources are free."""
        if not self.ready:
            return None
        line = self._only or self._choose()
        if line is None:
            return None
        place = self.place_of[heappop(line.ranks)]
        self.ready -= 1
        self.states[place] = _RUNNING
        for resource, weight in line.takes:
            self.free[resource] -= weight
            self.holders[resource][place] = weight
        line.passed_over = 0
        return place

    def _choose(self) -> Line | None:
        """The line whose first step is best among those that fit."""
        waiting: set[str] = set()
        passed: list[Line] = []
        for line in sorted((one for one in self.lines if one.ranks), key=lambda one: one.ranks[0]):
            fits = all(
                self.free[resource] >= weight and resource not in waiting
                for resource, weight in line.takes
            )
            if fits:
                for other in passed:
                    other.passed_over += 1
                return line
            passed.append(line)
            if line.passed_over >= PASSED_OVER_MAX:
                waiting.update(resource for resource, _ in line.takes)
        return None

    def release(self, place: int) -> None:
        """Give back what a step held, now that its work has ended."""
        for resource, weight in self.line_of[place].takes:
            if self.holders[resource].pop(place, None) is not None:
                self.free[resource] += weight

    # Ending ----------------------------------------------------------------------------------

    def succeed(self, place: int, value: Any) -> None:
        """Record a result and let the dependents come."""
        self._succeed(place, value)
        if self._passing:
            self._let_pass()

    def _succeed(self, place: int, value: Any) -> None:
        states, waiting, children = self.states, self.waiting, self.children
        states[place] = _SUCCEEDED
        self.results[place] = value
        self.ended.append(place)
        self.left -= 1
        for child in children[place]:
            waiting[child] -= 1
            if not waiting[child] and states[child] is _WAITING:
                self.released_by[child] = place
                self._arrive(child)

    def fail(self, place: int, error: BaseException, state: StepState, attempts: int) -> None:
        """Record a failed (or cancelled) step, and block what its policy blocks."""
        self.states[place] = state
        name = self.graph.nodes[place].name
        self.results[place] = Failure(name, state.word, error, attempts, self.way_to(place))
        ending = [place]
        while ending:
            place = ending.pop()
            self.ended.append(place)
            self.left -= 1
            for child in self.children[place]:
                self.waiting[child] -= 1
                if self.states[child] is _WAITING and self._is_ended_by(child, place):
                    ending.append(child)
        self._let_pass()

    def _is_ended_by(self, child: int, parent: int) -> bool:
        """Take in that a parent ended badly; True when that ends the child as well."""
        self.worst[child] = max(self.worst[child], self.states[parent])
        decided = TRUTH[self.graph.policies[child], self.worst[child]]
        if decided is Fate.RUNS:
            if not self.waiting[child]:
                self.released_by[child] = parent
                self._arrive(child)
            return False
        # Marked at once: two failed parents must not end it twice.
        state = StepState.BLOCKED if decided is Fate.BLOCKED else _CANCELLED
        self.states[child] = state
        above: Failure = self.results[parent]
        name = self.graph.nodes[child].name
        self.results[child] = Failure(
            name, state.word, above.error, 0, shortened((*above.path, name))
        )
        return True

    def way_to(self, place: int) -> tuple[str, ...]:
        """Names from a root to this step, each the parent that let the next one run."""
        way = [place]
        while way[-1] in self.released_by:
            way.append(self.released_by[way[-1]])
        return shortened([self.graph.nodes[one].name for one in reversed(way)])

    def again(self, place: int) -> None:
        """Make a step ready for a further attempt."""
        self.states[place] = _READY
        self._line_up(place)

    def pause(self, place: int) -> None:
        """Take a step's slot away until `again`: it waits between two attempts."""
        self.states[place] = _READY

    def cancel_rest(self) -> None:
        """End everything that has not started: the run stops."""
        for place, state in enumerate(self.states):
            if state in (_WAITING, _READY):
                self.states[place] = _CANCELLED
                name = self.graph.nodes[place].name
                self.results[place] = Failure(name, _CANCELLED.word, None, 0, (name,))
                self.ended.append(place)
                self.left -= 1
        for line in self.lines:
            line.ranks.clear()
        self.ready = 0

    def _arrive(self, place: int) -> None:
        """All parents let this step run."""
        if self._passes[place]:
            self._passing.append(place)
            return
        self.states[place] = _READY
        self._line_up(place)

    def _let_pass(self) -> None:
        """Barriers without a check need no slot: they end as soon as they can."""
        while self._passing:
            place = self._passing.pop()
            self._succeed(place, self.before(place))

    def _line_up(self, place: int) -> None:
        heappush(self.line_of[place].ranks, self.rank_of[place])
        self.ready += 1

    def before(self, place: int) -> dict[str, Any]:
        """Results of a barrier's parents by name."""
        names = self.graph.nodes
        parents = self.graph.named_parents(place)
        return {names[parent].name: self.results[parent] for parent in parents}
