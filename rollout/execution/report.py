"""What a run of a graph gave: results, failures with their paths, times, and how near it came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout.execution.crew import Span
from rollout.execution.declaration import Failure
from rollout.execution.graph import Graph
from rollout.execution.paths import Bounds, bounds, critical_path, remembered
from rollout.execution.policies import StepState
from rollout.execution.trace import Slice, save

if TYPE_CHECKING:
    from rollout.execution.graph_engine import GraphEngine


@dataclass(frozen=True)
class GraphReport:
    """One run.

    Attributes:
        name: Of the graph.
        seconds: From the start to the end.
        workers: Slots it had.
        deterministic: Whether results are in declared order.
        run_times_before: What the run was ordered by.
        graph, ended, kept_places, spans, started_s, state_of, result_of: What the rest is computed
            from when it is asked for; `ended` has places in the order of their ends, the last two
            have one entry per place.
    """

    name: str
    seconds: float
    workers: int
    deterministic: bool
    run_times_before: Mapping[str, float] = field(repr=False)
    graph: Graph = field(repr=False)
    ended: tuple[int, ...] = field(repr=False)
    kept_places: frozenset[int] = field(repr=False)
    spans: tuple[Span, ...] = field(repr=False)
    started_s: float = field(repr=False)
    state_of: tuple[StepState, ...] = field(repr=False)
    result_of: tuple[Any, ...] = field(repr=False)

    @cached_property
    def results(self) -> dict[str, Any]:
        """Results by step, in the order in which they ended, or with `deterministic=True` as
        declared; complete for what succeeded, whatever became of the rest.
        """
        order = range(len(self.state_of)) if self.deterministic else self.ended
        return self._of(place for place in order if self.state_of[place] is StepState.SUCCEEDED)

    @cached_property
    def failures(self) -> dict[str, Failure]:
        """By step: what failed, was blocked or cancelled."""
        return self._of(place for place in self.ended if self.state_of[place] > StepState.SUCCEEDED)

    def _of(self, places: Iterable[int]) -> dict[str, Any]:
        return {self.graph.nodes[place].name: self.result_of[place] for place in places}

    @cached_property
    def states(self) -> dict[str, str]:
        """By step, as declared, in words."""
        return dict(zip(self.graph.names, (one.word for one in self.state_of), strict=True))

    @cached_property
    def kept(self) -> frozenset[str]:
        """Steps whose result came from a receipt."""
        return frozenset(self.graph.nodes[place].name for place in self.kept_places)

    @cached_property
    def slices(self) -> tuple[Slice, ...]:
        """Every attempt, in the order in which they ended."""
        nodes, zero = self.graph.nodes, self.started_s
        return tuple(
            Slice(nodes[place].name, slot, start - zero, end - zero, well)
            for place, slot, start, end, well in self.spans
        )

    @cached_property
    def took_s(self) -> list[float]:
        """Measured run time of each step's last attempt, by place; 0 for what did not run."""
        took_s = [0.0] * len(self.graph.nodes)
        for place, _, start, end, _ in self.spans:
            took_s[place] = end - start
        return took_s

    @cached_property
    def bounds(self) -> Bounds:
        """What no run of these measured times could beat."""
        return bounds(self.graph, self.took_s, self.workers)

    @cached_property
    def critical(self) -> tuple[str, ...]:
        """Names of the critical path, by measured times."""
        nodes = self.graph.nodes
        return tuple(nodes[place].name for place in critical_path(self.graph, self.took_s))

    @property
    def ok(self) -> bool:
        """Whether every step succeeded."""
        return self.state_of.count(StepState.SUCCEEDED) == len(self.state_of)

    @property
    def nearness(self) -> float:
        """How many times the bound the run took; 1 is the best there can be."""
        return self.seconds / self.bounds.bound_s if self.bounds.bound_s else 1.0

    def run_times(self) -> dict[str, float]:
        """Seconds by step to order the next run by: keep them as JSON, and give them back."""
        measured = {one.name: one.end_s - one.start_s for one in self.slices if one.well}
        return remembered(self.run_times_before, measured)

    def save_trace(self, folder: Path) -> list[Path]:
        """Write a Chrome trace and a flame graph (speedscope); give their paths."""
        last = {one.name: one for one in self.slices}
        critical = [last[name] for name in self.critical if name in last]
        return save(folder, self.name, self.slices, critical)

    def to_json(self) -> dict[str, Any]:
        """Everything but results and slices, which may not be JSON or are in the trace."""
        return {
            "name": self.name,
            "ok": self.ok,
            "seconds": self.seconds,
            "bounds": self.bounds.to_json(),
            "nearness": self.nearness,
            "critical": list(self.critical),
            "states": dict(self.states),
            "kept": sorted(self.kept),
            "failures": {name: str(failure) for name, failure in self.failures.items()},
        }

    @classmethod
    def of(cls, engine: GraphEngine) -> GraphReport:
        """Read a run; under its lock."""
        board, crew = engine.board, engine.crew
        return cls(
            name=engine.graph.name,
            seconds=(crew.ended_s or crew.started_s) - crew.started_s,
            workers=crew.slots,
            deterministic=engine.deterministic,
            run_times_before=engine.run_times,
            graph=engine.graph,
            ended=tuple(board.ended),
            kept_places=board.kept,
            spans=tuple(crew.spans),
            started_s=crew.started_s,
            state_of=tuple(board.states),
            result_of=tuple(board.results),
        )
