"""What the ledger tests do again and again."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import text

from rollout.adapters.memory.transaction import MemoryTransaction
from rollout.adapters.sql.ledger import SqlLedger
from rollout.jobs.claims import Claim, Refusal
from rollout.jobs.ports import Committed, ConnectionSource, Ledger, Refused
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from tests.builders import NAME, NOW, SILENT_AFTER, filing

C, L = JobPath.CONCURRENT, JobPath.LEGACY
LATER = NOW + SILENT_AFTER


def declared(ledger: Ledger, effects: Effects = Effects.COMMIT, name: str = NAME) -> None:
    """Declare a sub-pipeline and let it run concurrently."""
    ledger.ensure(name, effects, 500, NOW)
    ledger.change(name, Event.START, "ada", "first step", NOW)


def claim(
    ledger: Ledger,
    job_id: str = "job-1",
    delivered: JobPath = C,
    effects: Effects = Effects.COMMIT,
    *,
    worker: str = "w1",
    now: datetime = NOW,
    silent_after: timedelta = SILENT_AFTER,
    name: str = NAME,
) -> Claim | Refused:
    """Ask for a claim."""
    return ledger.claim(name, job_id, delivered, effects, worker, now, silent_after)


def started(
    ledger: Ledger,
    job_id: str = "job-1",
    path: JobPath = C,
    effects: Effects = Effects.COMMIT,
    *,
    name: str = NAME,
) -> Claim:
    """File a job and claim it."""
    ledger.file([filing(job_id, path, name=name)])
    got = claim(ledger, job_id, path, effects, name=name)
    assert isinstance(got, Claim)
    return got


def refusal_of(got: Claim | Refused) -> Refusal | None:
    """The refusal of a claim, None when it was granted."""
    return got.refusal if isinstance(got, Refused) else None


def value(result: str) -> Callable[[ConnectionSource], str]:
    """A hook that writes nothing."""
    return lambda connect: result


def commit(
    ledger: Ledger,
    held: Claim,
    result: str = '"done"',
    effects: Effects = Effects.COMMIT,
    now: datetime = NOW,
) -> Committed | Refusal:
    """Commit without a hook."""
    return ledger.commit(held, effects, value(result), now)


_IN_MEMORY: list[str] = []
"""Lines that hooks have written through a ledger in memory, which has no tables."""


def make_written(ledger: Ledger) -> None:
    """Create a table that hooks write to."""
    _IN_MEMORY.clear()
    if isinstance(ledger, SqlLedger):
        with ledger.database.write() as connection:
            connection.execute(text("CREATE TABLE written (line TEXT PRIMARY KEY)"))


def write_line(connect: ConnectionSource, line: str) -> None:
    """Write a line through the ledger's own transaction."""
    connection = connect()
    if isinstance(connection, MemoryTransaction):
        connection.on_commit(lambda: _IN_MEMORY.append(line))
    else:
        connection.execute(text("INSERT INTO written VALUES (:line)"), {"line": line})


def written(ledger: Ledger) -> list[str]:
    """All lines that are there for good."""
    if not isinstance(ledger, SqlLedger):
        return sorted(_IN_MEMORY)
    with ledger.database.read() as connection:
        lines = connection.execute(text("SELECT line FROM written ORDER BY line"))
        return [str(line) for line in lines.scalars()]
