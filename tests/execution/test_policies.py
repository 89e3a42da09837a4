"""The truth table, row by row: alone, on the board, in a run, and in sequence."""

from itertools import product
from typing import Any

import pytest

from rollout.execution import Failure, FailurePolicy, Graph, GraphEngine, Step
from rollout.execution.board import Board
from rollout.execution.policies import TRUTH, Fate, StepState, fate
from rollout.execution.sequence import run_graph_in_sequence

S, P, F = StepState, FailurePolicy, Fate

ROWS = [
    (P.BLOCK, [S.SUCCEEDED, S.SUCCEEDED], F.RUNS),
    (P.BLOCK, [S.SUCCEEDED, S.FAILED], F.BLOCKED),
    (P.BLOCK, [S.FAILED, S.FAILED], F.BLOCKED),
    (P.BLOCK, [S.SUCCEEDED, S.BLOCKED], F.BLOCKED),
    (P.BLOCK, [S.FAILED, S.BLOCKED], F.BLOCKED),
    (P.BLOCK, [S.FAILED, S.CANCELLED], F.CANCELLED),
    (P.ALLOW_FAILURE, [S.SUCCEEDED, S.SUCCEEDED], F.RUNS),
    (P.ALLOW_FAILURE, [S.SUCCEEDED, S.FAILED], F.RUNS),
    (P.ALLOW_FAILURE, [S.FAILED, S.FAILED], F.RUNS),
    (P.ALLOW_FAILURE, [S.SUCCEEDED, S.BLOCKED], F.BLOCKED),
    (P.ALLOW_FAILURE, [S.FAILED, S.BLOCKED], F.BLOCKED),
    (P.ALLOW_FAILURE, [S.SUCCEEDED, S.CANCELLED], F.CANCELLED),
    (P.ALWAYS, [S.SUCCEEDED, S.SUCCEEDED], F.RUNS),
    (P.ALWAYS, [S.SUCCEEDED, S.FAILED], F.RUNS),
    (P.ALWAYS, [S.FAILED, S.BLOCKED], F.RUNS),
    (P.ALWAYS, [S.BLOCKED, S.BLOCKED], F.RUNS),
    (P.ALWAYS, [S.BLOCKED, S.CANCELLED], F.CANCELLED),
]
RUN_ROWS = [row for row in ROWS if S.CANCELLED not in row[1]]


def ident(row: object) -> str:
    """A row's name in the list of tests."""
    return "+".join(one.word for one in row) if isinstance(row, list) else str(row)


def test_the_table_has_every_case() -> None:
    """Each policy meets each way in which a parent can end."""
    ends = [state for state in StepState if state >= StepState.SUCCEEDED]
    assert set(TRUTH) == set(product(FailurePolicy, ends))


@pytest.mark.parametrize(("policy", "parents", "expected"), ROWS, ids=ident)
def test_fate(policy: FailurePolicy, parents: list[StepState], expected: Fate) -> None:
    """The rule itself."""
    assert fate(policy, parents) is expected
    assert fate(policy, parents[::-1]) is expected


def test_without_parents_a_step_runs() -> None:
    """Nothing before it can hold it up."""
    assert all(fate(policy, []) is Fate.RUNS for policy in FailurePolicy)


def fail() -> None:
    """A step's work that fails."""
    raise ValueError("broken on purpose")


def parent_steps(name: str, state: StepState) -> list[Step]:
    """A step that ends so, with what it takes to make it end so."""
    if state is S.BLOCKED:
        return [Step(f"above {name}", fail), Step(name, lambda: "result", after=[f"above {name}"])]
    return [Step(name, fail if state is S.FAILED else lambda: "result")]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(("policy", "parents", "expected"), RUN_ROWS, ids=ident)
def test_a_run_follows_the_table(
    policy: FailurePolicy, parents: list[StepState], expected: Fate, first: int
) -> None:
    """By the engine and in sequence, whichever parent ends first; what it gets says how it went."""
    given: list[Any] = []

    def child(left: Any, right: Any) -> str:
        given.append((left, right))
        return "ran"

    names = ["left", "right"]
    steps = [*parent_steps("left", parents[0]), *parent_steps("right", parents[1])]
    # With one worker, the parent with the longer remaining path comes first.
    times = {names[first]: 10.0, f"above {names[first]}": 10.0}
    graph = Graph("table", [*steps, Step("child", child, names, policy=policy)])
    report = GraphEngine(graph, workers=1, run_times=times).run(check=False)
    assert [report.states[name] for name in names] == [state.word for state in parents]
    ran = expected is Fate.RUNS
    assert report.states["child"] == ("succeeded" if ran else "blocked")
    assert len(given) == ran
    for value, state in zip(given[0] if ran else (), parents, strict=ran):
        assert value == "result" if state is S.SUCCEEDED else value.state == state.word
    if not ran:
        failure = report.failures["child"]
        assert isinstance(failure.error, ValueError)
        assert failure.path[-1] == "child"
        assert failure.attempts == 0
    given.clear()
    if any(state is not S.SUCCEEDED for state in parents):
        with pytest.raises(ValueError, match="broken on purpose"):
            run_graph_in_sequence(graph)
    else:
        assert run_graph_in_sequence(graph)["child"] == "ran"
    assert len(given) == ran


@pytest.mark.parametrize("policy", FailurePolicy)
def test_a_cancelled_parent_cancels(policy: FailurePolicy) -> None:
    """When the run stops under a step, no policy starts its dependents."""
    board = Board(Graph("one", [Step("a", fail), Step("b", fail, ["a"], policy=policy)]), [2, 1])
    assert board.take() == 0
    board.fail(0, ValueError(), StepState.CANCELLED, 1)
    assert board.states[1] is StepState.CANCELLED
    assert board.left == 0


def test_a_step_is_blocked_as_soon_as_that_is_certain() -> None:
    """It does not wait for its other parents to say that it never runs."""
    graph = Graph(
        "early", [Step("bad", fail), Step("slow", fail), Step("c", fail, ["bad", "slow"])]
    )
    board = Board(graph, [3, 2, 1])
    assert board.take() == 0
    board.fail(0, ValueError("x"), StepState.FAILED, 1)
    assert board.states[2] is StepState.BLOCKED
    assert board.take() == 1
    board.succeed(1, None)
    assert board.left == 0


def test_a_failure_carries_its_path() -> None:
    """From a root of the graph to the step that failed, and on to what it blocked."""
    graph = Graph(
        "path",
        [
            Step("a", lambda: 1),
            Step("b", lambda a: fail(), ["a"]),
            Step("c", lambda b: 1, ["b"]),
            Step("d", lambda c: 1, ["c"]),
            Step("e", lambda: "partial"),
        ],
    )
    report = GraphEngine(graph, workers=2).run(check=False)
    assert report.results == {"a": 1, "e": "partial"}
    assert report.failures["b"].path == ("a", "b")
    assert report.failures["d"].path == ("a", "b", "c", "d")
    assert isinstance(report.failures["d"], Failure)
    assert "d blocked (by way of a > b > c > d): ValueError: broken" in str(report.failures["d"])
