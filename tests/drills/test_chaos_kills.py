"""The kill switch of a Chaos Toolkit experiment lifts its own kill and nobody else's."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rollout import chaos
from rollout.drills.errors import DrillRefused
from rollout.errors import IllegalTransition
from rollout.wiring import Runtime
from tests.builders import NAME
from tests.world import World


@pytest.fixture
def killable(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A sub-pipeline whose services an experiment opens."""
    world.declare()

    @contextmanager
    def opened() -> Iterator[Runtime]:
        yield world.runtime

    monkeypatch.setattr(chaos, "_opened", opened)
    return world


def test_an_experiment_lifts_its_own_kill(killable: World) -> None:
    """Once: there is nothing to lift then."""
    assert chaos.kill(NAME, "experiment")
    assert chaos.rearm(NAME, "over")
    assert not killable.ledger.control(NAME).killed
    with pytest.raises(IllegalTransition, match="not killed"):
        chaos.rearm(NAME, "over")


@pytest.mark.parametrize("when", ["before", "after", "alone"])
def test_a_persons_kill_outlives_an_experiment(killable: World, when: str) -> None:
    """Rollbacks run in any case, also where the experiment never came to its own kill."""
    if when == "after":
        chaos.kill(NAME, "experiment")
    killable.runtime.changes.kill(NAME, "ada", "fire")
    if when == "before":
        chaos.kill(NAME, "experiment")
    with pytest.raises(DrillRefused, match="somebody else ha"):
        chaos.rearm(NAME, "over")
    assert killable.ledger.control(NAME).killed
    assert killable.control.read(NAME).killed
