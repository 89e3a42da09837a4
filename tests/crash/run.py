"""One seed: start the plant, hurt it while jobs flow, let it come to rest, collect."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from rollout.errors import LedgerUnreachable
from tests.crash.evidence import Evidence, collect
from tests.crash.faults import Faults, Kind, deck
from tests.crash.history import ENOUGH, share_done
from tests.crash.plant import OPERATORS, PRODUCERS, WORKERS, Plant

log = structlog.get_logger("crash")

REST_S = 30.0
"""With everything up, this long without one finished job and the rest counts as stuck."""
_PULSELESS_S = 10.0
"""A worker whose queue is not empty and that writes nothing for this long is started again."""
_STARTING_S = 60.0
"""The same for one that was started and has not said yet that it consumes."""
_HEARD_S = 25.0
"""A link whose worker died comes again after the visibility timeout, and its look every 2 s."""
_OPEN_MAX = 300
"""Producers pause above this: jobs that queue for long are all recalled by the next kill."""
_FAULTS_AT_ONCE = 4
_RATE_PER_S = 200.0
SHARING = 0.15
"""Of submissions, of jobs that wait for each other: half of them take turns by key."""
_BURST, _LONG_RUN_JOBS = 20_000, 5_000
"""Jobs of the long queue that is killed; a tenth of them in a short run."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one run is to do; the seed draws everything else.

    `rest_after_s` ends it sooner: what is submitted by then comes to rest, further faults do not
    begin.
    """

    seed: int
    jobs: int
    faults: int
    ledger: str
    deadline_s: float
    without: str | None = None
    only: frozenset[str] = frozenset()
    long_share: float = 0.1
    previous: str | None = None
    rest_after_s: float | None = None
    broker: str = "valkey"
    pooled: bool = False
    store: str = "valkey"
    sharing: float = SHARING


@dataclass(slots=True)
class Result:
    """What one run gave the checker, and what the driver itself saw."""

    order: Order
    evidence: Evidence
    seconds: float
    died_by_itself: int
    consumed_nothing: int
    came_to_rest: bool


@dataclass
class Driver:
    """Drives one plant through one order."""

    order: Order
    plant: Plant
    died_by_itself: int = 0
    consumed_nothing: int = 0
    _restart_at: dict[str, float] = field(default_factory=dict)
    _pulse: dict[str, int] = field(default_factory=dict)
    _pulseless_s: dict[str, float] = field(default_factory=dict)
    _finished_producers: set[str] = field(default_factory=set)
    _gone_operators: set[str] = field(default_factory=set)
    _resting: bool = False
    _looked_at: float = 0.0
    _counts: tuple[int, int] = (-1, -1)
    _moved_at: float = 0.0
    open_jobs: int = 0
    all_jobs: int = 0
    _rows: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.order.seed)
        self._faults = Faults(self.plant, self._rng)

    def drive(self) -> bool:
        """Run to the end; False when the deadline came first."""
        order, plant = self.order, self.plant
        began = time.monotonic()
        deadline = began + order.deadline_s
        kinds = deck(plant, order.faults, self._rng, order.only)
        due = sorted(self._rng.uniform(0.03, 0.92) * order.jobs for _ in kinds)
        for name in OPERATORS:
            plant.start_role(name, str(order.seed), str(order.deadline_s))
        for name in PRODUCERS:
            self._start_producer(name)
        while not self._shares_done() or kinds or self._faults.under_way:
            if time.monotonic() > min(deadline, self._stalled_at()):
                break
            self._turn()
            if order.rest_after_s is not None and time.monotonic() - began > order.rest_after_s:
                (plant.flags / ENOUGH).touch()
                kinds.clear()
            came = self.all_jobs >= due[order.faults - len(kinds)] if kinds else False
            ready = kinds and (came or self._shares_done())
            if ready and self._faults.under_way < _FAULTS_AT_ONCE:
                self._begin_one(kinds)
        return self._rest(deadline)

    def _shares_done(self) -> bool:
        """Whether all that the order asked for is submitted, or nobody submits any more."""
        flags = self.plant.flags
        ended = len(self._finished_producers) == len(PRODUCERS)
        return ended or all(share_done(flags, name).exists() for name in PRODUCERS)

    def _stalled_at(self) -> float:
        """When to give up on a run in which nothing has moved although no fault is under way."""
        if (self.open_jobs, self.all_jobs) != self._counts or self._faults.under_way:
            self._counts, self._moved_at = (self.open_jobs, self.all_jobs), time.monotonic()
        return self._moved_at + REST_S

    def _begin_one(self, kinds: list[Kind]) -> None:
        """Begin the next fault that can be; one whose targets are all hurt waits its turn."""
        for kind in list(kinds):
            if self._faults.begin(kind):
                kinds.remove(kind)
                return

    def _rest(self, deadline: float) -> bool:
        """End all faults and wait until no job is open, or nothing moves for too long."""
        self._faults.end_due(all_of_them=True)
        (self.plant.flags / ENOUGH).touch()
        self._resting = True
        for name in OPERATORS:
            if self.plant.children.exit_code(name):
                raise RuntimeError(f"{name} ended by itself, see {self.plant.folder / 'logs'}")
            self.plant.children.kill(name)
        for name in list(self._restart_at):
            self._restart_at[name] = 0.0
        self._turn()
        self.plant.history.write("all up")
        moved_at = time.monotonic()
        before: tuple[int, int, int | None] = (-1, -1, None)
        while time.monotonic() < deadline:
            self._turn()
            submitted = len(self._finished_producers) == len(PRODUCERS)
            if submitted and self.open_jobs == 0 and self._looked_at > moved_at:
                break
            # Duplicates are worked off, too: what waits behind them is not stuck.
            now = (self.open_jobs, self.all_jobs, self.plant.queued("legacy"))
            if now != before:
                before, moved_at = now, time.monotonic()
            if time.monotonic() - moved_at > REST_S + 2:
                break
        heard_by = min(deadline, time.monotonic() + _HEARD_S)
        while self.plant.unheard() and time.monotonic() < heard_by:
            self._turn()
        time.sleep(2.5)  # leftovers may still try something, and latches are put right by a tick
        self._look(force=True)
        self.plant.history.write("ended", open=self.open_jobs)
        return time.monotonic() < deadline

    # One turn of the loop ----------------------------------------------------------------------

    def _turn(self) -> None:
        self._faults.end_due()
        self._look_after()
        self._look()
        time.sleep(0.05)

    def _look(self, *, force: bool = False) -> None:
        """Count jobs, hold producers back, note what scope is seen, feel the workers' pulse."""
        passed = time.monotonic() - self._looked_at
        if passed < 0.4 and not force:
            return
        self._looked_at = time.monotonic()
        try:
            with self.plant.runtime.database.read() as connection:
                count = connection.exec_driver_sql
                self.open_jobs = count(
                    "SELECT count(*) FROM job WHERE state IN ('accepted', 'started')"
                ).scalar_one()
                rows = count("SELECT count(*) FROM job").scalar_one()
                self.all_jobs += max(0, rows - self._rows)  # some are pruned meanwhile
                self._rows = rows
            self._note_scopes()
            self._note_builds()
        except LedgerUnreachable:
            return
        flag = self.plant.flags / "pause"
        flag.touch() if self.open_jobs > _OPEN_MAX else flag.unlink(missing_ok=True)
        self._feel_pulse(min(passed, 1.0))

    def _note_builds(self) -> None:
        if self.plant.previous is not None:
            return  # a worker of an older release announces at each reconnect, as it did then
        for name, builds in self.plant.runtime.ledger.builds().items():
            for path, build in zip(("legacy", "concurrent"), builds, strict=True):
                if build is not None:
                    self.plant.history.write("build seen", name=name, path=path, build=build)

    def _note_scopes(self) -> None:
        for state in self.plant.runtime.ledger.controls():
            seen = self.plant.runtime.control.read(state.name).state
            for place, one in (("ledger", state), ("store", seen)):
                if one is not None:
                    self.plant.history.write(
                        "scope seen", name=one.name, place=place, revision=one.revision,
                        scope_bp=one.scope_bp,
                    )  # fmt: skip

    def _start_producer(self, name: str) -> None:
        order, share = self.order, self.order.jobs // len(PRODUCERS)
        figures = (order.seed, share, _RATE_PER_S, order.long_share, order.sharing)
        self.plant.start_role(name, *(str(one) for one in figures))

    def _look_after(self) -> None:
        """Start again what has died; what is under a fault is the fault's to start."""
        now, hurt = time.monotonic(), self._faults.hurt()
        for name in OPERATORS:
            code = self.plant.children.exit_code(name)
            if code is not None and name not in self._gone_operators and not self._resting:
                self._gone_operators.add(name)
                self.plant.history.write("operator died", name=name, code=code)
        for name in (*self.plant.workers, *PRODUCERS):
            if name in self._finished_producers or name in hurt:
                continue
            if name in self._restart_at:
                if now >= self._restart_at[name]:
                    del self._restart_at[name]
                    self._start_again(name)
            elif (code := self.plant.children.exit_code(name)) is not None:
                if name in PRODUCERS and code == 0:
                    self._finished_producers.add(name)
                    continue
                self._restart_at[name] = now + self._rng.uniform(0.2, 1.0)
                self.plant.history.write("process died", name=name, code=code)
                # -9 is a poison job or a hook of ours; anything else nobody asked for.
                self.died_by_itself += code != -9 and name in self.plant.workers

    def _start_again(self, name: str) -> None:
        self._pulseless_s[name] = 0.0
        self._start_producer(name) if name in PRODUCERS else self.plant.start_role(name)

    def _feel_pulse(self, passed_s: float) -> None:
        """Start a worker again that lives and consumes nothing though there is something."""
        hurt = self._faults.hurt()
        waiting = {path: self.plant.queued(path) for path in ("legacy", "concurrent")}
        for name, worker in self.plant.workers.items():
            written = self.plant.written(name)
            excused = (
                bool(hurt & {name, "ledger", "broker", "control"})
                or (name == self.plant.linked and any(one.endswith("-link") for one in hurt))
                or name in self._restart_at
            )
            waits = sum(waiting[path] or 0 for path in worker.paths)
            if written != self._pulse.get(name) or not waits:
                self._pulse[name], self._pulseless_s[name] = written, 0.0
            elif not excused:
                self._pulseless_s[name] = self._pulseless_s.get(name, 0.0) + passed_s
            limit_s = _PULSELESS_S if self.plant.is_ready(name) else _STARTING_S
            if self._pulseless_s.get(name, 0.0) > limit_s:
                self.consumed_nothing += 1
                self.plant.history.write("consumed nothing", name=name, waiting=waits)
                self.plant.children.kill(name)
                self._start_again(name)


def run(order: Order, folder: Path, last: Callable[[Plant], None] | None = None) -> Result:
    """Run one seed in a folder; no process of it is left. `last` is done to the plant at rest."""
    linked = random.Random(f"linked {order.seed}").choice(list(WORKERS))
    began = time.monotonic()
    burst = _BURST if order.jobs >= _LONG_RUN_JOBS else _BURST // 10
    plant = Plant(
        order.seed, folder, order.ledger, linked, order.without, order.previous, burst,
        order.broker, order.pooled, order.store,
    )  # fmt: skip
    try:
        plant.start()
        driver = Driver(order, plant)
        rested = driver.drive()
        evidence = collect(plant)
        if last is not None:
            last(plant)
    finally:
        plant.close()
    return Result(
        order, evidence, time.monotonic() - began, driver.died_by_itself,
        driver.consumed_nothing, rested,
    )  # fmt: skip
