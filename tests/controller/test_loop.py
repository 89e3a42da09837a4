"""The controller's loop: what it does between two turns, and what a pause of its own means."""

from collections.abc import Callable
from typing import Any

import pytest

from rollout.adapters.prometheus import Exporter
from rollout.controller import loop
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from tests.builders import NAME, SILENT_AFTER, filing, running
from tests.world import World

TICK_S = 1.0


class Stop:
    """Stops after some turns; each wait takes as long as the test says."""

    def __init__(self, waits: list[Callable[[], None]]) -> None:
        self._waits = waits

    def is_set(self) -> bool:
        """When no wait is left."""
        return not self._waits

    def wait(self, timeout: float) -> bool:
        """Let the next one happen."""
        assert timeout == TICK_S
        self._waits.pop(0)()
        return self.is_set()


def run(world: World, *waits: Callable[[], None], after: Callable[[], None] = lambda: None) -> None:
    """Run the controller for as many turns as there are waits."""
    figures: Any = Exporter()
    loop.run(world.runtime.tick, world.runtime.ledger, figures, TICK_S, Stop(list(waits)), after)
    figures.close()


def test_what_comes_after_a_turn_is_done_after_each(world: World) -> None:
    """The policy's file is looked at there."""
    turns: list[int] = []
    run(world, lambda: None, lambda: None, after=lambda: turns.append(1))
    assert len(turns) == 2


@pytest.mark.parametrize("effects", ["none", "unsafe"])
def test_a_plant_that_stood_still_has_no_dead_workers(world: World, effects: str) -> None:
    """The machine was paused: nobody could renew, and silence counts from when it goes on."""
    world.declare(effects)
    world.ledger.file([filing(at=world.clock.now())])
    kind = Effects(effects)
    world.ledger.claim(
        NAME, "job-1", JobPath.CONCURRENT, kind, "w", world.clock.now(), SILENT_AFTER
    )

    def passes(seconds: float) -> Callable[[], None]:
        return lambda: world.clock.advance(seconds)

    def renewed() -> None:
        """The worker goes on, and says so."""
        assert world.job().state is JobState.STARTED, "it was given up"
        world.ledger.renew([running("job-1", "w")], world.clock.now())
        world.clock.advance(TICK_S)

    # Long enough at work to know a silent worker from an outage; then everything stands still.
    quiet = [passes(TICK_S)] * 29
    run(world, *quiet, renewed, passes(40), renewed)
    assert world.job().state is JobState.STARTED
    run(world, *[passes(TICK_S)] * 33)
    assert world.job().state is not JobState.STARTED, "one that stays silent is given up"
