"""One case of the side-by-side table: one way of running the jobs, one pool, the same faults."""

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from redis import Redis
from sqlalchemy import text

from rollout.adapters.sql.migrate import migrate
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from rollout.settings import Settings, as_variables, read_settings
from rollout.wiring import Runtime
from tests.crash.children import Children
from tests.crash.servers import Postgres, forget, valkey_command, wait_for_port
from tests.crash.side_by_side.app import DONE_TABLE
from tests.ports import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]
WORKERS = ("first", "second")
_APP = "tests.crash.side_by_side.app"
_CONCURRENCY = "2"
_STILL_S = 25.0
"""Without one job done for this long, with everything up, what is missing does not come."""
_DOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """One case. `faults` are drawn from the seed, so they are the same for all cases of a pool."""

    mode: str
    pool: str
    jobs: int
    seed: int
    child_kills: int = 20
    worker_kills: int = 3


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the jobs whose submission returned.

    `lost` are in no queue and in no hands; `lost_with_memory` of them were not done when the broker
    lost its memory. `waiting` are not done either, but the broker has a message of theirs as taken
    by a worker that is dead: it comes again after the visibility timeout, an hour by default.
    """

    submitted: int
    done: int
    lost: int
    lost_with_memory: int
    waiting: int
    done_twice: int


def count(submitted: set[int], done: Iterable[int], held: set[int], forgotten: set[int]) -> Count:
    """Count; `done` has a job as often as it was done, `held` what the broker still has.

    `forgotten` are the jobs that were open when the broker lost its memory.
    """
    times = Counter(done)
    missing = submitted - times.keys()
    return Count(
        submitted=len(submitted),
        done=len(times),
        lost=len(missing - held),
        lost_with_memory=len((missing - held) & forgotten),
        waiting=len(missing & held),
        done_twice=sum(number > 1 for number in times.values()),
    )


def faults_of(order: Order) -> list[tuple[float, str]]:
    """When, as a number of submitted jobs, which fault comes; a thread pool has no children."""
    rng = random.Random(order.seed)
    children = [(rng.uniform(0.05, 0.95), "child killed") for _ in range(order.child_kills)]
    workers = [(rng.uniform(0.1, 0.9), "worker killed") for _ in range(order.worker_kills)]
    brokers = [(0.35, "broker killed, file"), (0.7, "broker killed, no file")]
    drawn = [*workers, *brokers, *(children if order.pool == "prefork" else [])]
    return sorted((share * order.jobs, kind) for share, kind in drawn)


class Case:
    """The machine of one case."""

    def __init__(self, order: Order, folder: Path) -> None:
        self._order = order
        self._rng = random.Random(f"targets {order.seed}")
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)  # PostgreSQL runs as another user and has to pass through
        self._children = Children(folder / "logs")
        self._broker_port = free_port()
        self._postgres = Postgres(folder, free_port())
        self._broker = Redis(port=self._broker_port, socket_timeout=1, protocol=2)
        self._settings = self._make_settings()
        self._forgotten: set[int] = set()

    def _make_settings(self) -> Settings:
        return read_settings(
            app=_APP,
            broker_url=f"redis://127.0.0.1:{self._broker_port}/0",
            ledger_url=self._postgres.url(),
            silent_after_s=5,
            lost_after_s=5,
            connect_timeout_ms=500,
            read_timeout_ms=500,
            metrics_port=0,
        )

    def run(self) -> Count:
        """Run the case and count."""
        try:
            self._start()
            self._hurt()
            self._wait()
            return self._count()
        finally:
            self._children.end()
            self._broker.close()

    # Starting --------------------------------------------------------------------------------

    def _start(self) -> None:
        self._start_broker(empty=False)
        self._postgres.create()
        user = self._postgres.user
        self._children.start(
            "postgres", self._postgres.command(), dict(os.environ),
            user=user, group=user, cwd=self._folder,
        )  # fmt: skip
        self._postgres.wait()
        runtime = Runtime(self._settings)
        migrate(runtime.database)
        with runtime.database.write() as connection:
            connection.execute(text(DONE_TABLE))
        if self._order.mode == "rollout":
            runtime.submit.ensure("side", Effects.COMMIT, 500)
            self._python("controller", "-m", "rollout", "controller", "-A", _APP)
            runtime.changes.change("side", Event.START, "side", "begins")
            runtime.changes.change("side", Event.SCOPE, "side", "half", scope_bp=5000)
        runtime.close()
        for name in WORKERS:
            self._start_worker(name)
        wait_until(self._all_ready, f"the workers consume, else see {self._folder}", 60)
        told = self._folder / "submitted"
        told.touch()
        self._python(
            "producer", "-m", "tests.crash.side_by_side.producer", str(self._order.jobs), str(told)
        )

    def _all_ready(self) -> bool:
        return all((self._folder / f"ready-{name}@side").exists() for name in WORKERS)

    def _start_broker(self, *, empty: bool) -> None:
        data = self._folder / "broker"
        if empty:
            forget(data)
        command = valkey_command(self._broker_port, data)
        self._children.start("broker", command, dict(os.environ))
        wait_for_port(self._broker_port)

    def _start_worker(self, name: str) -> None:
        queues = {"first": "side.legacy", "second": "side.concurrent"}
        bare = self._order.mode != "rollout"
        self._python(
            name, "-m", "celery", "-A", _APP, "worker",
            "--queues", "celery" if bare else queues[name], "--hostname", f"{name}@side",
            "--pool", self._order.pool, "--concurrency", _CONCURRENCY, "--loglevel", "WARNING",
            "--without-gossip", "--without-mingle",
        )  # fmt: skip

    def _python(self, name: str, *arguments: str, **options: Any) -> None:
        env = {
            **os.environ,
            **as_variables(self._settings),
            "PYTHONPATH": str(ROOT),
            "SIDE_MODE": self._order.mode,
            "SIDE_FOLDER": str(self._folder),
            "SIDE_DATABASE": self._postgres.url().replace("+psycopg", ""),
        }
        self._children.start(name, [sys.executable, *arguments], env, cwd=ROOT, **options)

    # Hurting ---------------------------------------------------------------------------------

    def _hurt(self) -> None:
        faults = faults_of(self._order)
        while faults or self._children.exit_code("producer") is None:
            self._look_after_workers()
            if faults and len(self._submitted()) >= faults[0][0]:
                self._begin(faults.pop(0)[1])
            time.sleep(0.05)

    def _begin(self, kind: str) -> None:
        target = self._rng.choice(WORKERS)
        if kind == "child killed":
            children = psutil.Process(self._children.pid(target)).children()
            if children:
                self._rng.choice(children).kill()
        elif kind == "worker killed":
            self._children.kill(target)  # and is started again as by any supervisor
        else:
            self._children.kill("broker")
            if kind.endswith("no file"):
                self._forgotten = self._submitted() - set(self._done())
            time.sleep(_DOWN_S)
            self._start_broker(empty=kind.endswith("no file"))

    def _look_after_workers(self) -> None:
        for name in WORKERS:
            if self._children.exit_code(name) is not None:
                self._start_worker(name)

    # Counting --------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait until every job is done, or none more comes."""
        before, moved_at = -1, time.monotonic()
        wanted = self._submitted()
        while time.monotonic() - moved_at < _STILL_S:
            self._look_after_workers()
            done = set(self._done())
            if wanted <= done:
                break
            if len(done) != before:
                before, moved_at = len(done), time.monotonic()
            time.sleep(0.3)
        time.sleep(2.0)  # leftovers of jobs that are done may do them again

    def _submitted(self) -> set[int]:
        text_ = (self._folder / "submitted").read_text(encoding="ascii")
        return {int(line) for line in text_.split("\n")[:-1]}

    def _done(self) -> list[int]:
        with psycopg.connect(self._postgres.url().replace("+psycopg", "")) as connection:
            return [number for (number,) in connection.execute("SELECT number FROM done")]

    def _held(self) -> set[int]:
        """Jobs of which the broker has a message: in a queue, or as taken by a worker."""
        values: list[Any] = list(self._broker.hvals("unacked"))
        for queue in ("celery", "side.legacy", "side.concurrent"):
            values += self._broker.lrange(queue, 0, -1)
        return {_number_of(json.loads(value)) for value in values}

    def _count(self) -> Count:
        return count(self._submitted(), self._done(), self._held(), self._forgotten)


def _number_of(message: object) -> int:
    found = message[0] if isinstance(message, list) else message
    assert isinstance(found, dict), "kombu writes a message, or a message with its way"
    return int(str(found["headers"]["id"]).removeprefix("side-"))
