"""A plant of many sub-pipelines: a turn asks ledger and store as often as for few."""

from collections import Counter
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from rollout.cli.status_view import PAGES_MAX, render
from rollout.routing.effects import Effects
from rollout.routing.rule import Reading
from tests.builders import filing
from tests.world import World


def declare(world: World, names: range) -> None:
    """Sub-pipelines on legacy, each with a job that waits."""
    for number in names:
        name = f"many-{number}"
        world.ledger.ensure(name, Effects.NONE, 500, world.clock.now())
        world.ledger.file([filing(f"of-{name}", name=name, at=world.clock.now())])


def asked(world: World, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What a turn asks, once everything is known."""
    world.runtime.tick.turn()
    world.runtime.tick.turn()
    said: Counter[str] = Counter()
    for call in ("read", "project", "latch"):
        real = getattr(world.control, call)

        def counted(*args: object, real: object = real, call: str = call, **more: object) -> object:
            said[f"store {call}"] += 1
            return real(*args, **more)  # type: ignore[operator]  # a method of the store

        monkeypatch.setattr(world.control, call, counted)
    everything = world.control.read_all

    def read_all(names: list[str]) -> dict[str, Reading]:
        before = said["store read"]
        found = everything(names)
        said["store read"] = before
        said["store read_all"] += 1
        return found

    monkeypatch.setattr(world.control, "read_all", read_all)
    world.line.trace.clear()
    assert world.runtime.tick.turn().errors == []
    monkeypatch.undo()
    return said + Counter(world.line.trace)


def in_a_terminal(what: RenderableType) -> list[str]:
    """The lines of a terminal of 80 columns."""
    console = Console(file=StringIO(), width=80)
    with console.capture() as captured:
        console.print(what)
    return captured.get().splitlines()


def test_a_turn_asks_as_often_for_many_as_for_few(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement of each kind, whatever their number."""
    declare(world, range(3))
    few = asked(world, monkeypatch)
    declare(world, range(3, 60))
    assert asked(world, monkeypatch) == few
    assert sum(few.values()) < 60


def test_status_has_a_line_for_each_of_many(world: World) -> None:
    """And a page for each of few; one that is asked for by name is whole."""
    declare(world, range(PAGES_MAX))
    assert not world.runtime.desk.status(None, PAGES_MAX).in_short
    declare(world, range(PAGES_MAX, PAGES_MAX + 1))
    board = world.runtime.desk.status(None, PAGES_MAX)
    assert board.in_short
    assert len(board.by_need) == PAGES_MAX + 1
    lines = in_a_terminal(render(board))
    assert len(lines) < PAGES_MAX + 10
    assert all(len(line) <= 80 for line in lines)
    assert f"starts of {PAGES_MAX + 1} go to legacy: unknown" in " ".join(lines)
    assert not world.runtime.desk.status("many-0", PAGES_MAX).in_short
