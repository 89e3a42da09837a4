"""What can be done to a plant. Each fault has what it needs free, what it does, and its recovery.

The driver never gives one process two faults at a time, but different ones overlap freely.
"""

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil
from sqlalchemy import create_engine, text

from tests.crash.plant import CONTROLLERS, PREFORK, PRODUCERS, WORKERS, Plant

_REST_S = 1.5
"""What has recovered is left alone this long, so that stale attempts get to their commit."""

Recovery = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    `targets` lists what it could hit, each a space-separated list of what must be free of other
    faults; `hit` does it and gives the recovery that the driver calls after a pause drawn from
    `pause_s`.
    """

    name: str
    targets: Callable[[Plant], tuple[str, ...]]
    hit: Callable[[Plant, str, random.Random], Recovery]
    pause_s: tuple[float, float]


def _nothing() -> None:
    """Recover from a fault that the program itself has to recover from."""


def _kill_child(plant: Plant, target: str, rng: random.Random) -> Recovery:
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(plant.children.pid(target)).children()
        if children:
            rng.choice(children).kill()
    return _nothing


def _kill_role(plant: Plant, target: str, rng: random.Random) -> Recovery:
    for name in target.split():
        plant.children.kill(name)

    def again() -> None:
        for name in target.split():
            plant.start_role(name)

    return again


def _stop_worker(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Pause a worker; the others take its jobs over, and it wakes up with stale attempts."""
    name = target.split()[0]
    plant.children.signal(name, signal.SIGSTOP)
    return lambda: plant.children.signal(name, signal.SIGCONT)


def _kill_producer(plant: Plant, target: str, rng: random.Random) -> Recovery:
    plant.children.kill(target)
    return _nothing  # the driver starts a producer again until its share is submitted


def _kill_producer_between(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """It kills itself after its next ledger row and before the message."""
    (plant.flags / f"die-{target}").touch()
    return _nothing


def _submit_poison(what: str) -> Callable[[Plant, str, random.Random], Recovery]:
    def hit(plant: Plant, target: str, rng: random.Random) -> Recovery:
        (plant.flags / f"poison-{rng.choice(PRODUCERS)}").write_text(what)
        return _nothing

    return hit


def _kill_valkey(*, empty: bool) -> Callable[[Plant, str, random.Random], Recovery]:
    def hit(plant: Plant, target: str, rng: random.Random) -> Recovery:
        plant.children.kill(target)
        if target == "control":
            plant.history.write("store gone", worker=None)

        def again() -> None:
            if target == "control":
                plant.history.write("store back", worker=None)
            plant.start_server(target, empty=empty)

        return again

    return hit


def _quit_postgres(plant: Plant, target: str, rng: random.Random) -> Recovery:
    plant.children.quit(target)
    return lambda: plant.start_server(target)


def _link(mode: str) -> Callable[[Plant, str, random.Random], Recovery]:
    def hit(plant: Plant, target: str, rng: random.Random) -> Recovery:
        name = target.split()[0].removesuffix("-link")
        slow = f" {rng.uniform(0.02, 0.3):.3f}" if mode == "slow" else ""
        gone = name == "control" and mode != "slow"
        plant.turn_link(name, mode + slow)
        if gone:
            plant.history.write("store gone", worker=plant.linked)

        def again() -> None:
            if gone:
                plant.history.write("store back", worker=plant.linked)
            plant.turn_link(name, "open")

        return again

    return hit


def _fill_disk(plant: Plant, target: str, rng: random.Random) -> Recovery:
    flag = plant.flags / "ledger_full"
    flag.touch()
    return lambda: flag.unlink(missing_ok=True)


def _lock_ledger(plant: Plant, target: str, rng: random.Random) -> Recovery:
    """Hold what every writer needs for longer than SQLite's busy timeout."""
    engine = create_engine(plant.settings.ledger_url, connect_args=_patience(plant))
    connection = engine.connect()
    with suppress(Exception):  # the ledger may be away: then there is nothing to lock
        if plant.is_postgresql:
            connection.execute(text("SET lock_timeout = '3s'"))
            # Readers pass, or the driver would wait for itself.
            connection.execute(text("LOCK TABLE job IN EXCLUSIVE MODE"))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    def unlock() -> None:
        with suppress(Exception):  # its server may have been killed meanwhile
            connection.close()
        engine.dispose()

    return unlock


def _patience(plant: Plant) -> dict[str, float]:
    return {"connect_timeout": 2} if plant.is_postgresql else {"timeout": 3}


def _always(*targets: str) -> Callable[[Plant], tuple[str, ...]]:
    return lambda plant: targets


def _links(plant: Plant) -> tuple[str, ...]:
    return tuple(f"{name}-link" for name in plant.links)


_ANY_WORKER = _always(*WORKERS)
# One at a time: with two stopped there may be nobody left to make an attempt stale.
_ONE_STOPPED = _always(*(f"{name} one-stopped" for name in WORKERS))
_NEVER: tuple[str, ...] = ()

KINDS = (
    Kind("worker child killed", _always(*PREFORK), _kill_child, (0.3, 1.0)),
    Kind("worker killed", _ANY_WORKER, _kill_role, (0.2, 2.5)),
    Kind("worker stopped", _ONE_STOPPED, _stop_worker, (7.0, 9.0)),
    Kind("controller killed", _always(*CONTROLLERS), _kill_role, (0.3, 3.0)),
    Kind("both controllers killed", _always(" ".join(CONTROLLERS)), _kill_role, (5.0, 7.0)),
    Kind("producer killed", _always(*PRODUCERS), _kill_producer, (0.3, 1.0)),
    Kind("producer killed between", _always(*PRODUCERS), _kill_producer_between, (0.3, 1.0)),
    Kind("poison job", _always(""), _submit_poison("poison"), (1.0, 3.0)),
    Kind("job kills its worker once", _always(""), _submit_poison("dies"), (1.0, 3.0)),
    Kind("broker killed, file", _always("broker"), _kill_valkey(empty=False), (0.2, 3.0)),
    Kind("broker killed, no file", _always("broker"), _kill_valkey(empty=True), (0.2, 3.0)),
    Kind("store killed, file", _always("control"), _kill_valkey(empty=False), (0.2, 4.0)),
    Kind("store killed, no file", _always("control"), _kill_valkey(empty=True), (0.2, 4.0)),
    Kind("link cut", _links, _link("cut"), (0.3, 4.0)),
    Kind("link slow", _links, _link("slow"), (2.0, 5.0)),
    Kind("link black hole", _links, _link("hole"), (3.0, 7.0)),
    Kind("ledger locked", _always("ledger"), _lock_ledger, (5.5, 7.0)),
    Kind(
        "ledger disk full",
        lambda plant: _NEVER if plant.is_postgresql else ("ledger",),
        _fill_disk,
        (1.0, 4.0),
    ),
    Kind(
        "postgres killed",
        lambda plant: ("ledger",) if plant.is_postgresql else _NEVER,
        _quit_postgres,
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
        if not free:
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
            if all_of_them or time.monotonic() >= fault.until:
                fault.recover()
                self._active.remove(fault)
                rested = time.monotonic() + _REST_S
                self._rests.update(dict.fromkeys(fault.target.split(), rested))
                self._plant.history.write("fault ended", n=fault.number, kind=fault.kind.name)

    @property
    def under_way(self) -> int:
        """How many there are now."""
        return len(self._active)
