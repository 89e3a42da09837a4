"""Experiments lift their own kill and nobody else's, and plant faults for their drill."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from rollout import chaos
from rollout.drills.errors import DrillRefused
from rollout.drills.experiments import runs_for
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


def test_a_fault_that_a_drills_experiment_plants_is_the_drills(killable: World) -> None:
    """Its jobs are counted there; a second plan has a limit of its own."""
    world, plans = killable, killable.runtime.plans
    world.control.beat("controller", timedelta(days=1))
    runs_for("d" * 32)
    ids = []
    for _ in range(2):
        planted = chaos.plant_fault(NAME, "concurrent", "raise", 10.0, 3)
        plan = plans.planted(NAME)
        assert plan is not None
        assert plan.drill_id == planted
        ids.append(planted)
        assert chaos.unplant_fault(NAME)
    assert ids[0] == "d" * 32
    assert ids[1] != ids[0]
