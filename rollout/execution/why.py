"""Why a step has not ended: the exact edge, resource with holder, or slot that it waits for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rollout.execution.crew import now_s
from rollout.execution.errors import UnknownStep
from rollout.execution.policies import StepState

if TYPE_CHECKING:
    from rollout.execution.graph_engine import GraphEngine

NAMES_MAX = 5
"""So many names in a sentence; the rest is counted."""


@dataclass(frozen=True)
class Why:
    """What one step or batch waits for.

    Attributes:
        name: Of the step, or stage and batch as `transform[12]`.
        state: "waiting", "ready", "running", "succeeded", and so on.
        waits_for: Names whose end is missing, with their states.
        resource: The resource that is not free, how much is, and who holds the rest for how long.
        sentence: All of it in words.
    """

    name: str
    state: str
    sentence: str
    waits_for: tuple[tuple[str, str], ...] = ()
    resource: str | None = None
    free: int | None = None
    holders: tuple[tuple[str, int, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)

    def __str__(self) -> str:
        """The sentence."""
        return f"{self.name}: {self.sentence}"


def listed(names: Iterable[str]) -> str:
    """Names in a sentence."""
    all_names = list(names)
    more = f" and {len(all_names) - NAMES_MAX} more" if len(all_names) > NAMES_MAX else ""
    return ", ".join(all_names[:NAMES_MAX]) + more


def table(answers: Iterable[Why]) -> str:
    """Answers under each other, as a table of plain text."""
    rows = [("step", "state", "why"), *((one.name, one.state, one.sentence) for one in answers)]
    name_width, state_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(
        f"{name:<{name_width}}  {state:<{state_width}}  {why}".rstrip() for name, state, why in rows
    )


def why_step(engine: GraphEngine, name: str) -> Why:
    """Answer for one step; under the run's lock."""
    graph, board = engine.graph, engine.board
    if name not in graph.index:
        raise UnknownStep(name, graph.index)
    place = graph.index[name]
    state = board.states[place]
    if state is StepState.WAITING:
        unmet = tuple(
            (graph.nodes[parent].name, board.states[parent].word)
            for parent in graph.parents[place]
            if board.states[parent] < StepState.SUCCEEDED
        )
        sentence = f"waits for {listed(f'{parent} ({word})' for parent, word in unmet)}"
        return Why(name, state.word, sentence, waits_for=unmet)
    if state is StepState.READY:
        return _why_ready(engine, place)
    if state is StepState.RUNNING:
        return Why(name, state.word, _running(engine, place))
    if state is StepState.SUCCEEDED:
        kept = place in board.kept
        return Why(
            name, state.word, "has a receipt of an earlier run" if kept else "has its result"
        )
    return Why(name, state.word, str(board.results[place]))


def _running(engine: GraphEngine, place: int) -> str:
    crew = engine.crew
    since_s = now_s() - crew.running[place][1] if place in crew.running else 0.0
    attempt = f"attempt {engine.attempts[place]} runs for {since_s:.1f} s"
    limit_s = engine.graph.nodes[place].timeout_s
    if place in crew.overdue and limit_s is not None:
        attempt += f", {since_s - limit_s:.1f} s over its limit; its thread has not ended"
    return attempt


def _why_ready(engine: GraphEngine, place: int) -> Why:
    board, crew = engine.board, engine.crew
    name, state = engine.graph.nodes[place].name, StepState.READY.word
    line = board.line_of[place]
    if board.rank_of[place] not in line.ranks:
        wait_s = engine.graph.nodes[place].retry_wait_s
        attempts = engine.attempts[place]
        return Why(name, state, f"pauses {wait_s:g} s after attempt {attempts}")
    for resource, weight in line.takes:
        if board.free[resource] < weight:
            holders = tuple(
                (engine.graph.nodes[one].name, held, now_s() - crew.running[one][1])
                for one, held in board.holders[resource].items()
                if one in crew.running
            )
            who = listed(f"{one} holds {held} for {s:.1f} s" for one, held, s in holders)
            free = board.free[resource]
            sentence = f"waits for {weight} of {resource!r}, {free} free: {who}"
            return Why(name, state, sentence, (), resource, free, holders)
    ahead = sum(rank < board.rank_of[place] for one in board.lines for rank in one.ranks)
    busy = len(crew.running)
    if busy >= crew.slots:
        return Why(
            name, state, f"waits for a slot: {busy} of {crew.slots} run, {ahead} ahead of it"
        )
    return Why(name, state, f"starts next: {busy} of {crew.slots} slots run, {ahead} ahead of it")


def graph_idle_reason(engine: GraphEngine) -> str:
    """Say why not every slot runs something; empty only when nothing is left."""
    board, crew = engine.board, engine.crew
    if not board.left:
        return ""
    busy = len(crew.running)
    if busy >= crew.slots:
        return f"no slot is idle: {busy} of {crew.slots} run"
    idle = f"{crew.slots - busy} of {crew.slots} slots are idle"
    if crew.stop_reason is not None:
        return f"{idle}: the run stops ({crew.stop_reason})"
    ready = [board.place_of[rank] for line in board.lines for rank in line.ranks]
    held = [one for one in (_why_ready(engine, place) for place in ready) if one.resource]
    if ready and len(held) == len(ready):
        return f"{idle}: all {len(ready)} ready steps wait for resources; {held[0]}"
    if ready:
        return f"{idle}: {len(ready) - len(held)} ready steps start now"
    names = [engine.graph.nodes[place].name for place in crew.running]
    if names:
        return (
            f"{idle}: all {board.left - busy} steps that have not started wait for {listed(names)}"
        )
    paused = [
        engine.graph.nodes[place].name
        for place, state in enumerate(board.states)
        if state is StepState.READY
    ]
    if paused:
        return f"{idle}: {listed(paused)} pause before the next attempt"
    return f"ALARM, {idle}, {board.left} steps are left and nothing runs or is ready"
