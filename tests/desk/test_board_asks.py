"""Whom the first screen asks, and when: the workers' answers take longer than all the rest."""

from collections.abc import Mapping, Sequence

import pytest

from rollout.desk.board import Board, read_board, read_held_up
from rollout.desk.why import Explanations
from rollout.desk.workers import ActiveTask
from rollout.routing.decision import JobPath
from tests.builders import NAME, filing
from tests.world import World


class HeardWorkers:
    """`desk.workers.Workers` that notes what it is asked among what else is read."""

    def __init__(self, order: list[str], *, deaf: bool = False) -> None:
        self.order = order
        self.deaf = deaf

    def ask(self) -> "HeardWorkers":
        """Note the questions."""
        self.order.append("asked")
        return self

    def listeners(self) -> Mapping[str, Sequence[str]]:
        """Note who waits."""
        self.order.append("waits")
        return {} if self.deaf else {f"{NAME}.legacy": ["w1"]}

    def active(self) -> Sequence[ActiveTask]:
        """Nothing runs."""
        return []


def read(world: World, order: list[str], pages_max: int | None = None) -> Board:
    """The first screen, with what is asked in its order."""

    def explanations() -> Explanations:
        order.append("explains")
        return world.runtime.explanations

    return read_board(
        world.ledger, world.control, world.clock, explanations, lambda: HeardWorkers(order), None,
        pages_max,
    )  # fmt: skip


@pytest.mark.parametrize("pages_max", [None, 0])
def test_the_rest_is_read_while_the_workers_answer(world: World, pages_max: int | None) -> None:
    """Workers of a killed sub-pipeline are asked first and waited for last, on both screens."""
    world.declare()
    world.runtime.changes.kill(NAME, "ada", "x")
    order: list[str] = []
    board = read(world, order, pages_max)
    assert order == ["asked", "explains", "waits"]
    assert board.listeners == {f"{NAME}.legacy": ["w1"]}


def test_why_says_that_nobody_listens(world: World) -> None:
    """Who asks why one sub-pipeline stands still reads it there, with the runbook."""
    world.declare()
    world.ledger.file([filing("job-1", JobPath.LEGACY, name=NAME, at=world.clock.now())])
    world.clock.advance(120)
    order: list[str] = []
    held_up = read_held_up(
        world.ledger, world.control, world.clock, lambda: HeardWorkers(order, deaf=True), NAME
    )
    assert order == ["asked"]
    (alarm,) = held_up()
    assert alarm.what == "unheard"
    assert alarm.sentence.startswith(f"no worker listens on queue {NAME}.legacy")
    assert alarm.runbook == "jobs-pile-up-on-legacy.md"


def test_nobody_is_asked_where_nothing_is_suspicious(world: World) -> None:
    """A look at a healthy sub-pipeline does not wait for workers."""
    world.declare()
    order: list[str] = []
    assert read(world, order).listeners is None
    assert order == ["explains"]
