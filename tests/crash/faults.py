"""Which faults there are, which the seed draws, and those under way.

The driver never gives one process two faults at a time, but different ones overlap freely.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.crash import harms
from tests.crash.harms import Recovery
from tests.crash.plant import CONTROLLERS, PRODUCERS, Plant

_REST_S = 1.5
"""What has recovered is left alone this long, so that stale attempts get to their commit."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    `targets` lists what it could hit, each a space-separated list of what must be free of other
    faults; `hit` does it and gives the recovery that the driver calls after a pause drawn from
    `pause_s`. `may` says whether the plant is in a state in which what follows is promised, `over`
    that the pause need not be waited for.
    """

    name: str
    targets: Callable[[Plant], tuple[str, ...]]
    hit: Callable[[Plant, str, random.Random], Recovery]
    pause_s: tuple[float, float]
    may: Callable[[Plant, set[str]], bool] = lambda plant, busy: True
    over: Callable[[Plant, str], bool] = lambda plant, target: False


def _always(*targets: str) -> Callable[[Plant], tuple[str, ...]]:
    return lambda plant: targets


def _alone(plant: Plant) -> tuple[str, ...]:
    """A store that nobody stands in for."""
    return ("control",) if plant.store == "valkey" else ()


def _links(plant: Plant) -> tuple[str, ...]:
    return tuple(f"{name}-link" for name in plant.links)


def _workers(plant: Plant) -> tuple[str, ...]:
    return tuple(plant.workers)


def _forking(plant: Plant) -> tuple[str, ...]:
    return tuple(name for name, worker in plant.workers.items() if worker.pool == "prefork")


def _concurrent(plant: Plant) -> tuple[str, ...]:
    return tuple(plant.releases)


def _one_stopped(plant: Plant) -> tuple[str, ...]:
    """One at a time: with two stopped there may be nobody left to make an attempt stale."""
    return tuple(f"{name} one-stopped" for name in plant.workers)


def _clocks(plant: Plant) -> tuple[str, ...]:
    return (*plant.workers, *CONTROLLERS, *PRODUCERS)


def _all_filed(plant: Plant, busy: set[str]) -> bool:
    """Whether no job is known to the broker alone.

    A job submitted while the ledger is away, or whose row a failover took, is as safe as the
    broker's memory until a worker files it: a broker that loses its memory in that moment is the
    one pair of faults under which rollout promises nothing (docs/reliability.md), so the deck does
    not draw it.
    """
    return "ledger" not in busy and not plant.unfiled()


_NEVER: tuple[str, ...] = ()

KINDS = (
    Kind("worker child killed", _forking, harms.kill_child, (0.3, 1.0)),
    Kind("worker killed", _workers, harms.kill_role, (0.2, 2.5)),
    Kind("child hangs through a kill", _always("legacy"), harms.hang_child, (0.5, 2.0)),
    Kind("worker told to stop", _workers, harms.tell_to_stop(7.0), (8.0, 16.0)),
    Kind(
        "stopped, 30 s of grace",
        _concurrent,
        harms.tell_to_stop(24.0),
        (30.0, 30.0),
        over=harms.has_stopped,
    ),
    Kind(
        "stopped, 60 s of grace",
        _concurrent,
        harms.tell_to_stop(48.0),
        (60.0, 60.0),
        over=harms.has_stopped,
    ),
    Kind("old jobs pruned", _always("ledger broker"), harms.prune_jobs, (0.5, 2.0), may=_all_filed),
    Kind("clock 5 min off", _workers, harms.turn_clock_by(300.0), (6.0, 9.0)),
    Kind("rows gone", _always("ledger broker"), harms.lose_rows, (6.5, 8.0), may=_all_filed),
    Kind("worker stopped", _one_stopped, harms.stop_worker, (7.0, 9.0)),
    Kind("controller killed", _always(*CONTROLLERS), harms.kill_role, (0.3, 3.0)),
    Kind("both controllers killed", _always(" ".join(CONTROLLERS)), harms.kill_role, (5.0, 7.0)),
    Kind("producer killed", _always(*PRODUCERS), harms.kill_producer, (0.3, 1.0)),
    Kind("producer killed between", _always(*PRODUCERS), harms.kill_producer_between, (0.3, 1.0)),
    Kind("poison job", _always(""), harms.submit_poison("poison"), (1.0, 3.0)),
    Kind("job kills its worker once", _always(""), harms.submit_poison("dies"), (1.0, 3.0)),
    Kind("broker killed, file", _always("broker"), harms.kill_valkey(empty=False), (0.2, 3.0)),
    Kind(
        "broker killed, no file",
        _always("broker"),
        harms.kill_valkey(empty=True),
        (0.2, 3.0),
        may=_all_filed,
    ),
    Kind("store killed, file", _alone, harms.kill_valkey(empty=False), (0.2, 4.0)),
    Kind("store killed, no file", _alone, harms.kill_valkey(empty=True), (0.2, 4.0)),
    Kind(
        "store failed over",
        lambda plant: ("control",) if plant.store == "sentinel" else _NEVER,
        harms.fail_over,
        (8.0, 10.0),
    ),
    Kind("link cut", _links, harms.link("cut"), (0.3, 4.0)),
    Kind(
        "answers of COMMIT lost",
        lambda plant: ("ledger-link",) if plant.is_postgresql else _NEVER,
        harms.link("answers"),
        (1.0, 3.0),
    ),
    Kind("link slow", _links, harms.link("slow"), (2.0, 5.0)),
    Kind("link black hole", _links, harms.link("hole"), (3.0, 7.0)),
    Kind("clock jumped", _clocks, harms.turn_clock, (2.0, 6.0)),
    Kind(
        "control row held",
        lambda plant: ("row",) if plant.is_postgresql else _NEVER,
        harms.hold_row,
        (2.0, 6.0),
    ),
    Kind("web hook never answers", _always("hook"), harms.write_notices, (3.0, 6.0)),
    Kind("release restarted", _concurrent, harms.restart_release, (0.2, 1.5)),
    Kind(
        "long queue killed",
        _always("burst"),
        harms.long_queue,
        (90.0, 90.0),
        over=harms.is_queued,
    ),
    Kind("ledger locked", _always("ledger"), harms.lock_ledger, (5.5, 7.0)),
    Kind(
        "ledger disk full",
        lambda plant: _NEVER if plant.is_postgresql else ("ledger",),
        harms.fill_disk,
        (1.0, 4.0),
    ),
    Kind(
        "postgres killed",
        lambda plant: ("ledger",) if plant.is_postgresql else _NEVER,
        harms.quit_postgres,
        (0.2, 2.5),
    ),
    Kind(
        "an administrator's timeouts",
        lambda plant: ("ledger",) if plant.is_postgresql else _NEVER,
        harms.tighten_timeouts,
        (2.0, 5.0),
    ),
    Kind(
        "pooler killed",
        lambda plant: ("ledger",) if plant.pooled else _NEVER,
        harms.kill_pooler,
        (0.2, 2.5),
    ),
)


def deck(plant: Plant, count: int, rng: random.Random, only: frozenset[str]) -> list[Kind]:
    """Draw faults so that every kind comes once before any comes twice; empty `only` is all."""
    possible = [kind for kind in KINDS if kind.targets(plant) and (not only or kind.name in only)]
    drawn: list[Kind] = []
    while len(drawn) < count:
        drawn += rng.sample(possible, len(possible))
    return drawn[:count]


@dataclass(slots=True)
class Active:
    """A fault under way."""

    number: int
    kind: Kind
    target: str
    recover: Recovery
    until: float


class Faults:
    """Begins faults and ends them; the history has both."""

    def __init__(self, plant: Plant, rng: random.Random) -> None:
        self._plant = plant
        self._rng = rng
        self._active: list[Active] = []
        self._rests: dict[str, float] = {}
        self.begun = 0

    def hurt(self) -> set[str]:
        """Everything that is under a fault now."""
        return {name for fault in self._active for name in fault.target.split()}

    def begin(self, kind: Kind) -> bool:
        """Begin a fault; False when everything it could hit is hurt already."""
        now = time.monotonic()
        busy = self.hurt() | {name for name, until in self._rests.items() if now < until}
        free = [one for one in kind.targets(self._plant) if not busy & set(one.split())]
        if not free or not kind.may(self._plant, busy):
            return False
        target = self._rng.choice(free)
        self.begun += 1
        self._plant.history.write("fault begun", n=self.begun, kind=kind.name, target=target)
        recover = kind.hit(self._plant, target, self._rng)
        until = time.monotonic() + self._rng.uniform(*kind.pause_s)
        self._active.append(Active(self.begun, kind, target, recover, until))
        return True

    def end_due(self, *, all_of_them: bool = False) -> None:
        """Recover from faults whose time is over."""
        for fault in list(self._active):
            over = fault.kind.over(self._plant, fault.target)
            if all_of_them or over or time.monotonic() >= fault.until:
                fault.recover()
                self._active.remove(fault)
                rested = time.monotonic() + _REST_S
                self._rests.update(dict.fromkeys(fault.target.split(), rested))
                self._plant.history.write("fault ended", n=fault.number, kind=fault.kind.name)

    @property
    def under_way(self) -> int:
        """How many there are now."""
        return len(self._active)
