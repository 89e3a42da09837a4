"""The board on a virtual clock: properties of every schedule."""

from collections import Counter
from heapq import heappop, heappush

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.execution import Barrier, Graph, Step
from rollout.execution.board import PASSED_OVER_MAX, Board
from rollout.execution.paths import bounds, critical_path, expected_s, remaining_s, remembered
from rollout.execution.policies import TRUTH, Fate, StepState
from tests.execution.graphs import RESOURCES, Drawn, drawn_graphs, nothing


def play(drawn: Drawn, workers: int) -> tuple[Board, list[tuple[str, str]], float]:
    """Run a graph in units of time; give the board, what happened, and how long it took."""
    graph = drawn.graph()
    board = Board(graph, remaining_s(graph, drawn.units))
    happened: list[tuple[str, str]] = []
    running: list[tuple[float, int]] = []
    now = 0.0
    while board.left:
        while len(running) < workers and (place := board.take()) is not None:
            happened.append(("start", graph.nodes[place].name))
            heappush(running, (now + drawn.units[place], place))
        assert running, "something is left, so something runs"
        held: Counter[str] = Counter()
        for _, place in running:
            held.update(graph.nodes[place].resources)
        assert all(held[name] <= capacity for name, capacity in RESOURCES.items())
        now, place = heappop(running)
        name = graph.nodes[place].name
        board.release(place)
        happened.append(("end", name))
        if name in drawn.failing:
            board.fail(place, ValueError(name), StepState.FAILED, 1)
        else:
            board.succeed(place, name)
    return board, happened, now


@given(drawn_graphs(), st.integers(1, 5))
def test_every_schedule_keeps_the_rules(drawn: Drawn, workers: int) -> None:
    """Each step at most once, never before its parents end, as the truth table says."""
    board, happened, _ = play(drawn, workers)
    graph = board.graph
    starts = [name for what, name in happened if what == "start"]
    assert len(set(starts)) == len(starts)
    for place, node in enumerate(graph.nodes):
        parents = graph.parents[place]
        worst = max((board.states[one] for one in parents), default=StepState.SUCCEEDED)
        ran = TRUTH[graph.policies[place], worst] is Fate.RUNS
        is_barrier = isinstance(node, Barrier)
        assert (node.name in starts) == (ran and not is_barrier)
        failed = node.name in drawn.failing
        expected = StepState.BLOCKED
        if ran:
            expected = StepState.FAILED if failed else StepState.SUCCEEDED
        assert board.states[place] is expected
        for parent in parents if node.name in starts else []:
            before = happened[: happened.index(("start", node.name))]
            name = graph.nodes[parent].name
            assert ("start", name) not in happened or ("end", name) in before
    assert board.free == RESOURCES
    assert not any(board.holders.values())
    assert board.ready == 0
    assert sorted(board.ended) == list(range(len(graph.nodes)))


@given(drawn_graphs(fails=False), st.integers(1, 4))
def test_no_schedule_beats_its_bound(drawn: Drawn, workers: int) -> None:
    """The bound holds, and without resources the run takes at most twice of it (Graham 1966)."""
    units = tuple(
        0 if isinstance(step, Barrier) else unit
        for step, unit in zip(drawn.steps, drawn.units, strict=True)
    )
    drawn = Drawn(drawn.steps, drawn.failing, units)
    _, _, took = play(drawn, workers)
    found = bounds(drawn.graph(), units, workers)
    assert took >= found.bound_s - 1e-9
    assert took <= found.work_s + 1e-9


def test_the_longest_remaining_path_starts_first() -> None:
    """Not the first declared, nor the longest by itself."""
    graph = Graph(
        "g",
        [Step("long", nothing), Step("way", nothing), Step("end", nothing, ["way"])],
    )
    seconds = expected_s(graph, {"long": 3.0, "way": 1.0, "end": 2.5})
    board = Board(graph, remaining_s(graph, seconds))
    assert board.take() == 1
    assert [graph.nodes[place].name for place in critical_path(graph, seconds)] == ["way", "end"]


def test_run_times_are_remembered_by_name_and_by_group() -> None:
    """A new item of a mapped step takes what its siblings took; a stranger takes the median."""
    graph = Graph("g", [Step("load[7]", nothing), Step("new", nothing), Barrier("b")])
    assert expected_s(graph, {"load": 4.0, "x": 2.0, "y": 9.0}) == [4.0, 4.0, 0.0]
    assert expected_s(graph, {}) == [1.0, 1.0, 0.0]
    assert remembered({"a": 2.0, "b": 1.0}, {"a": 4.0, "c": 5.0}) == {"a": 3.0, "b": 1.0, "c": 5.0}


def test_the_head_of_a_line_blocks_nobody_else() -> None:
    """While the first by priority waits for a resource, those that need none start."""
    steps = [Step(f"db{n}", nothing, resources={"db": 1}) for n in range(40)]
    graph = Graph("g", [*steps, Step("free", nothing)], resources={"db": 1})
    board = Board(graph, [*range(140, 100, -1), 1.0])
    assert board.take() == 0
    assert board.take() == 40
    assert board.take() is None
    assert board.ready == 39


def test_a_heavy_step_does_not_starve() -> None:
    """After it was passed over often enough, what it needs is kept for it."""
    light = [Step(f"light{n}", nothing, resources={"db": 1}) for n in range(30)]
    heavy = Step("heavy", nothing, resources={"db": 2})
    graph = Graph("g", [*light, heavy], resources={"db": 2})
    board = Board(graph, [1.0] * 30 + [2.0])
    first = board.take()
    assert first == 30, "it is the best, and both are free"
    board.release(first)
    board.again(first)
    running = []
    board.free["db"] = 1  # somebody holds one all the time
    for _ in range(PASSED_OVER_MAX):
        place = board.take()
        assert place is not None
        assert place < 30
        running.append(place)
        board.release(place)
        board.succeed(place, None)
    assert board.take() is None, "the free one is kept for the heavy step"
    board.free["db"] = 2
    assert board.take() == 30


def test_the_bound_knows_resources() -> None:
    """Ten steps of one second through a resource of one take ten seconds with any workers."""
    steps = [Step(f"s{n}", nothing, resources={"db": 1}) for n in range(10)]
    found = bounds(Graph("g", steps, resources={"db": 1}), [1.0] * 10, 10)
    assert found.bound_s == pytest.approx(10.0)
    assert found.critical_path_s == pytest.approx(1.0)
    assert found.to_json()["work_s"] == pytest.approx(10.0)
