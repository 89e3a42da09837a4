"""Runs seeds: weeks of work and faults, rest after each, and the judge's word on it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

import structlog

from rollout.jobs.order import OnFailure
from rollout.jobs.resources import Need
from rollout.policy.policy import Fleet, Policies, Policy
from rollout.routing.effects import Effects
from tests.simulation.chaos import EPISODE_S, Chaos
from tests.simulation.history import Happening
from tests.simulation.limits import WEEK_S
from tests.simulation.producer import Kind
from tests.simulation.violation import Violation
from tests.simulation.world import BY_HAND, World


@dataclass
class Result:
    """What came of one seed."""

    seed: int
    weeks: int
    jobs: int
    violations: list[Violation]
    events: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    history: list[Happening] = field(default_factory=list)


ORDERED = 0.25
"""Share of sub-pipelines whose jobs of a key keep their order."""
SHARING = 0.3
"""Share of runs whose jobs need resources."""


@contextmanager
def quiet() -> Iterator[None]:
    """Let the services log nothing: a run is a hundred thousand warnings about its faults."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    try:
        yield
    finally:
        structlog.configure(**before)


def kinds_of(chance: Random) -> list[Kind]:
    """One or two sub-pipelines, of any effects, with a commit hook more often than not."""
    names = ("parts", "mails")[: 1 + (chance.random() < 0.3)]
    weighted = (Effects.COMMIT, Effects.COMMIT, *Effects)
    return [Kind(name, chance.choice(weighted), chance.choice((0, 500))) for name in names]


def policies_of(chance: Random) -> Policies:
    """In every fifth run the controller acts by itself, on a shorter ladder than the default."""
    if chance.random() < 0.8:
        return BY_HAND
    policy = Policy(
        ladder_bp=(100, 500, 2_500, 5_000, 9_500),
        drills_min=chance.choice((0, 6)),
        revert_to=chance.choice(("legacy", "previous_step")),
    )
    return Policies(default=policy, fleet=Fleet(advances_per_day_max=chance.choice((None, 1))))


def _share(kinds: Sequence[Kind], chance: Random) -> None:
    """Let jobs need what there is little of, of one resource or two, also of both kinds."""
    if chance.random() < SHARING:
        for kind in kinds:
            wanted = {"license": chance.randrange(2), "warehouse": chance.choice((1, 1, 2))}
            kind.needs = tuple(Need(one, weight, 2) for one, weight in wanted.items() if weight)


def run(seed: int, weeks: int, *, keep: bool = False) -> Result:
    """Simulate so many weeks, or until the first violation."""
    drawn = Random(f"world {seed}")
    kinds, policies = kinds_of(drawn), policies_of(drawn)
    for kind in kinds:
        if drawn.random() < ORDERED:
            kind.on_failure = OnFailure.SKIP  # one that holds its key waits for a person
    _share(kinds, Random(f"resources {seed}"))
    world = World(seed, kinds, policies, keep=keep)
    chaos = Chaos(world)
    events = 0
    counts: dict[str, int] = {}
    with quiet():
        for week in range(weeks):
            world.scheduler.leap(week * WEEK_S)
            chaos.plan()
            world.scheduler.run(world.scheduler.now_s + EPISODE_S)
            world.settle()
            lived = world.history.take()
            events += len(lived)
            for event in lived:
                counts[event.what] = counts.get(event.what, 0) + 1
            if world.judge.see(lived):
                break
    return Result(
        seed, week + 1, world.jobs, world.judge.found, events, counts, list(world.history)
    )
