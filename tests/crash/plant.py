"""The processes of one run: servers, links, workers, controllers, producers, operators."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from sqlalchemy import text

from rollout.adapters.sql.migrate import migrate
from rollout.errors import BrokerUnreachable, LedgerUnreachable, UnknownJob
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.settings import Settings, as_variables, read_settings
from tests.crash.app import EFFECT_TABLE, EFFECTS, HEARD_QUEUE, KEYED_TABLE, NAMES
from tests.crash.children import Children
from tests.crash.gone_rows import remember_deleted
from tests.crash.hearsay import Hearsay
from tests.crash.history import History
from tests.crash.jumping_clock import offset_file
from tests.crash.previous import take_revision
from tests.crash.servers import Postgres, forget, valkey_command, wait_for_port
from tests.crash.watched import WatchedRuntime, watched_runtime
from tests.plants import debian
from tests.ports import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PRODUCERS = ("producer1", "producer2")
OPERATORS = ("operator1", "operator2")
CONTROLLERS = ("controller1", "controller2")


@dataclass(frozen=True, slots=True)
class Worker:
    """One Celery worker of the plant: the queues of these paths, its pool and its size."""

    paths: tuple[str, ...]
    pool: str
    concurrency: int


WORKERS = {
    "legacy": Worker(("legacy",), "prefork", 2),
    "forked": Worker(("concurrent",), "prefork", 3),
    "threaded": Worker(("concurrent",), "threads", 8),
}
_ERLANG_S = 90.0
"""RabbitMQ takes its time on a busy machine."""
PREVIOUS = "previous"
"""The worker that runs the previous release, on both paths."""


@dataclass
class Plant:
    """One run's machine.

    Args:
        seed: Names the run.
        folder: State, logs and histories.
        ledger: "sqlite" or "postgresql".
        linked: The worker whose connections pass through the proxy.
        without: Guard that is taken out everywhere, to see whether the run notices.
        previous: Git revision of the package that one more worker runs, beside the current ones.
        burst: Jobs that are submitted at once for the kill of a long queue.
        broker: "valkey", or "rabbitmq" of Debian.
        pooled: Whether Debian's pgbouncer lends PostgreSQL's sessions, one transaction each.
        store: "valkey", or "sentinel": Debian's Redis, a replica, and the Sentinel that chooses.
    """

    seed: int
    folder: Path
    ledger: str
    linked: str
    without: str | None = None
    previous: str | None = None
    burst: int = 2_000
    broker: str = "valkey"
    pooled: bool = False
    store: str = "valkey"
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # PostgreSQL runs as another user and has to pass through.
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)
        self.flags = self.folder / "flags"
        self.histories = self.folder / "history"
        self.flags.mkdir()
        self.histories.mkdir()
        self.children = Children(self.folder / "logs")
        self.history = History(self.histories, "driver")
        for name in ("broker", "control", "ledger"):
            self.ports[name] = free_port()
            self.ports[f"{name} link"] = free_port()
        for name in ("broker inner", "broker mapper", "pool", "replica", "sentinel"):
            self.ports[name] = free_port()
        if self.broker == "rabbitmq" or self.pooled or self.store == "sentinel":
            debian.install()
        self.primary = "control"
        links = {"broker": True, "control": self.store == "valkey", "ledger": self.is_postgresql}
        self.links = tuple(name for name, there in links.items() if there)
        self.postgres = Postgres(self.folder, self.ports["ledger"])
        # A web hook that takes connections and never answers.
        self._hook = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.hook_port: int = self._hook.getsockname()[1]
        self.settings = self._settings(linked=False)
        self.runtime: WatchedRuntime = watched_runtime(self.settings, self.history, self.flags)
        self.workers = dict(WORKERS)
        if self.previous is not None:
            self.workers[PREVIOUS] = Worker(("legacy", "concurrent"), "prefork", 2)
            take_revision(self.previous, self._release(PREVIOUS))
        # No repeats: the driver must not wait for a broker that it has killed itself.
        self._broker = Redis(
            port=self.ports["broker"], socket_timeout=1, protocol=2, retry=Retry(NoBackoff(), 0)
        )
        self.releases = {
            name: 1 for name, worker in WORKERS.items() if "concurrent" in worker.paths
        }
        self._hearsay = Hearsay(self.histories)
        self.pruned_before = 0
        """Microseconds: jobs submitted before may have had their outcome, and be forgotten."""
        self._proxy: subprocess.Popen[bytes] | None = None

    @property
    def is_postgresql(self) -> bool:
        """Whether the ledger is a server."""
        return self.ledger == "postgresql"

    def _settings(self, *, linked: bool) -> Settings:
        port = {
            name: self.ports[f"{name} link" if linked else name]
            for name in ("broker", "control", "ledger")
        }
        sqlite = f"sqlite:///{self.folder}/ledger.db"
        if self.pooled and not linked:
            port["ledger"] = self.ports["pool"]
        redis, rabbit = (
            f"redis://127.0.0.1:{port['broker']}/0",
            f"amqp://guest:guest@127.0.0.1:{port['broker']}//",
        )
        return read_settings(
            app="tests.crash.app",
            broker_url=rabbit if self.broker == "rabbitmq" else redis,
            control_url=(
                f"sentinel://127.0.0.1:{self.ports['sentinel']}/0?master_name=store"
                if self.store == "sentinel"
                else f"redis://127.0.0.1:{port['control']}/0"
            ),
            ledger_url=self.postgres.url(port["ledger"]) if self.is_postgresql else sqlite,
            tick_s=1,
            supervision_s=5,
            snapshot_s=0.2,
            silent_after_s=4,
            lost_after_s=4,
            connect_timeout_ms=500,
            read_timeout_ms=500,
            metrics_port=0,
            notify_urls=(f"json://127.0.0.1:{self.hook_port}",),
        )

    def _release(self, role: str) -> Path:
        """The folder whose `rollout` a role imports."""
        return self.folder / "previous" if role == PREVIOUS else ROOT

    def _env(self, role: str) -> dict[str, str]:
        return {
            **os.environ,
            **as_variables(self._settings(linked=role == self.linked)),
            "PYTHONPATH": str(self._release(role)),
            "CRASH_ROLE": role,
            "CRASH_HISTORY": str(self.histories),
            "CRASH_FLAGS": str(self.flags),
            "CRASH_WITHOUT": self.without or "",
            "CRASH_RELEASE": str(self.releases.get(role, 1)),
        }

    # Starting ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start servers, links, workers and controllers, and wait until the workers consume."""
        if self.broker == "rabbitmq":
            one = debian.erlang_mapper(self.folder / "broker", self.ports["broker mapper"])
            self.children.start("mapper", one.words, one.env, user=one.user, cwd=one.folder)
            wait_for_port(self.ports["broker mapper"])
        # RabbitMQ takes seconds to come up: the others come up meanwhile.
        self.start_server("broker", waits=False)
        self.start_server("control")
        if self.store == "sentinel":
            self.start_server("replica", follows="control")
            self.start_server("sentinel")
        if self.is_postgresql:
            self.postgres.create()
            self.start_server("ledger")
        if self.pooled:
            self.start_server("pool")
        migrate(self.runtime.database)
        with self.runtime.database.write() as connection:
            connection.execute(text(EFFECT_TABLE))
            connection.execute(text(KEYED_TABLE))
            remember_deleted(connection)
        for name, effects in EFFECTS.items():
            self.runtime.submit.ensure(name, Effects(effects), 500)
        self._start_proxy()
        wait_for_port(self.ports["broker"], _ERLANG_S)
        for name in (*self.workers, *CONTROLLERS):
            self.start_role(name)
        wait_until(
            lambda: all(self.is_ready(name) for name in self.workers),
            f"all workers consume, else see {self.folder / 'logs'}",
            60 if self.broker == "valkey" else 180,  # Erlang takes its time on a busy machine
        )

    def start_server(
        self, name: str, *, empty: bool = False, follows: str | None = None, waits: bool = True
    ) -> None:
        """Start broker, control store, PostgreSQL or what stands beside; `follows` is a primary."""
        env = dict(os.environ)
        if name == "ledger":
            user = self.postgres.user
            self.children.start(
                name, self.postgres.command(), env, user=user, group=user, cwd=self.folder
            )
            self.postgres.wait()
            return
        data = self.folder / name
        ours = {"pool", "replica", "sentinel"}
        ours |= {"broker"} if self.broker == "rabbitmq" else set()
        ours |= {"control"} if self.store == "sentinel" else set()
        if name in ours:
            if empty:
                debian.forget_messages(data)
            self._start_debian(name, data, follows)
        else:
            if empty:
                forget(data)
            self.children.start(name, valkey_command(self.ports[name], data), env)
        if waits:
            wait_for_port(self.ports[name], _ERLANG_S)

    def _start_debian(self, name: str, folder: Path, follows: str | None) -> None:
        ports = self.ports
        if name == "pool":
            one = debian.pgbouncer(folder, ports["pool"], ports["ledger"])
        elif name == "sentinel":
            one = debian.sentinel(folder, ports["sentinel"], ports["control"], "store", 1)
        elif name in ("control", "replica"):
            more = ("--replicaof", "127.0.0.1", str(ports[follows])) if follows else ()
            one = debian.redis(folder, ports[name], *more)
        else:
            one = debian.rabbitmq(
                folder, ports["broker"], ports["broker inner"], ports["broker mapper"]
            )
        self.children.start(name, one.words, one.env, user=one.user, cwd=one.folder)

    def _start_proxy(self) -> None:
        behind = {**self.ports, **({"ledger": self.ports["pool"]} if self.pooled else {})}
        links = [
            f"{name}:{self.ports[f'{name} link']}:{behind[name]}"
            for name in ("broker", "control", "ledger")
        ]
        self._proxy = self.children.start(
            "proxy", [sys.executable, "-m", "tests.crash.proxy", *links], self._env("proxy"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        for name in ("broker", "control", "ledger"):
            wait_for_port(self.ports[f"{name} link"])

    def turn_link(self, name: str, mode: str) -> None:
        """Cut, slow, hole or open a link; in force when this returns."""
        assert self._proxy is not None, "the plant is started first"
        assert self._proxy.stdin is not None, "it was opened with a pipe"
        assert self._proxy.stdout is not None, "it was opened with a pipe"
        self._proxy.stdin.write(f"{name} {mode}\n".encode())
        self._proxy.stdin.flush()
        self._proxy.stdout.readline()

    def start_role(self, name: str, *arguments: str) -> None:
        """Start a worker, controller, producer or operator."""
        if name in self.workers:
            worker = self.workers[name]
            queues = [f"{one}.{path}" for one in NAMES for path in worker.paths]
            queues += [HEARD_QUEUE] * ("legacy" in worker.paths)
            command = [
                sys.executable, "-m", "celery", "-A", "tests.crash.app", "worker",
                "--queues", ",".join(queues), "--hostname", f"{name}@crash",
                "--pool", worker.pool, "--concurrency", str(worker.concurrency),
                # More than in production: a killed worker takes more messages along.
                "--prefetch-multiplier", "4", "--loglevel", "WARNING",
                "--without-gossip", "--without-mingle", "--without-heartbeat",
            ]  # fmt: skip
        elif name in CONTROLLERS:
            command = [sys.executable, "-m", "tests.crash.controller"]
        else:
            module = "producer" if name in PRODUCERS else "operator"
            command = [sys.executable, "-m", f"tests.crash.{module}", name, *arguments]
        self.children.start(name, command, self._env(name), cwd=self._release(name))

    def turn_clock(self, role: str, offset_s: float | None) -> None:
        """Move the wall clock of a role's processes, or set it right again."""
        file = offset_file(self.flags, role)
        if offset_s is None:
            file.unlink(missing_ok=True)
            return
        new = file.with_suffix(".new")
        new.write_text(f"{offset_s:.3f}")
        new.rename(file)  # nobody reads half a number

    # Looking -------------------------------------------------------------------------------

    def is_ready(self, name: str) -> bool:
        """Whether the worker that runs under this name now has said that it consumes."""
        path = self.histories / f"{name}-{self.children.pid(name)}.jsonl"
        try:
            with path.open(encoding="utf-8") as lines:
                return any('"what":"worker ready"' in line for line in lines)
        except FileNotFoundError:
            return False

    def written(self, name: str) -> int:
        """Bytes of history that a worker's processes have written: its pulse."""
        return sum(path.stat().st_size for path in self.histories.glob(f"{name}-*.jsonl"))

    def runs_unsafe(self, name: str) -> bool:
        """Whether a process of this worker runs a job that nobody may repeat."""
        running: set[str] = set()
        for path in self.histories.glob(f"{name}-*.jsonl"):
            for line in path.read_text(encoding="utf-8").splitlines():
                if '"unsafe":true' in line or '"what":"did"' in line:
                    running ^= {json.loads(line)["job"]}
        return bool(running)

    def hangs_on(self, path: str) -> int:
        """How often a job that hangs has been started on this path."""
        told = f'"path":"{path}"'
        return sum(
            '"what":"hangs"' in line and told in line
            for file in self.histories.glob("*.jsonl")
            for line in file.read_text(encoding="utf-8").splitlines()
        )

    def unfiled(self) -> set[str]:
        """Jobs that were never filed, or whose row was taken away, and have no row or run yet."""
        return self._hearsay.unfiled(self._has_row, self._lives)

    def unheard(self) -> int:
        """How many links, chains and chords have not called their last task yet."""
        return len(self._hearsay.awaited())

    def _lives(self, file: str) -> bool:
        """Whether the process that writes this history is the one that runs now."""
        name, _, pid = file.rpartition("-")
        return int(pid) == self.children.pid(name) and self.children.exit_code(name) is None

    def _has_row(self, job_id: str) -> bool:
        try:
            self.runtime.ledger.jobs_of(job_id.partition("@")[0])
        except (LedgerUnreachable, UnknownJob):
            return False
        return True

    def queued(self, path: str) -> int | None:
        """Messages waiting on one path; None when the broker does not answer."""
        if self.broker == "rabbitmq":
            try:
                held = [self.runtime.queues.held(name) for name in NAMES]
            except BrokerUnreachable:
                return None
            return sum(one.waiting[JobPath(path)] for one in held)
        try:
            lengths: list[Any] = [self._broker.llen(f"{name}.{path}") for name in NAMES]
        except RedisError:
            return None
        return int(sum(lengths))

    def close(self) -> None:
        """Kill everything."""
        self.children.end()
        self._hook.close()
        self._broker.close()
        self.runtime.close()
