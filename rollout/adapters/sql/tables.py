"""Tables of the ledger. `migrations/` creates them; a test compares the two."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

from rollout.adapters.sql.words import ShortWords, Words

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(value: datetime) -> int:
    """Microseconds since 1970; a naive time is a defect of the caller."""
    assert value.tzinfo is not None, "times in the ledger are aware"
    return (value - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The aware UTC time back."""
    return _EPOCH + value * _MICROSECOND  # half of the time that a timedelta of them takes


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC time as microseconds since 1970, the same on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        """Convert to microseconds."""
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        """Convert back to aware UTC time."""
        return None if value is None else from_microseconds(value)


OPEN = text("state IN ('accepted', 'started')")
"""The condition of the index `job_open`, to the letter: SQLite uses a partial index only for a
query that says the same, and `state = ?` does not."""

UNFOLDED = text("state IN ('committed', 'failed') AND NOT folded")
"""The same for `job_unfolded`: outcomes that are not in the tallies yet."""

FAILED = text("state = 'failed'")
FELL_BACK = text("fallback_reason IS NOT NULL")
"""The same for the indexes of what people look for; both are few beside what went well."""

metadata = MetaData()

sub_pipeline = Table(
    "sub_pipeline",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("effects", String(16), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("scope_bp", Integer, nullable=False),
    Column("holdback_bp", Integer, nullable=False),
    Column("killed", Boolean, nullable=False),
    Column("frozen", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("fence_revision", BigInteger, nullable=False),
    Column("salt", String(100), nullable=False),
    Column("kill_id", String(64)),
    Column("lifted_kill_id", String(64)),
    Column("changed_at", UtcTime, nullable=False),
    Column("legacy_build", String(100)),
    Column("concurrent_build", String(100)),
)
"""One control row per sub-pipeline; the row '*' is the latch of `kill --all`."""

transition = Table(
    "transition",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(100), nullable=False, index=True),
    Column("at", UtcTime, nullable=False),
    Column("event", String(16), nullable=False),
    Column("actor", ShortWords(200), nullable=False),
    Column("reason", Words, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("queued_met", Integer),
    Column("running_met", Integer),
)
"""Append-only log of control changes; triggers refuse update and delete."""

job = Table(
    "job",
    metadata,
    Column("job_id", String(191), primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("key", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("assigned_path", String(12), nullable=False),
    Column("path", String(12), nullable=False),
    Column("reason", String(24), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("fence_revision", BigInteger, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("accepted_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("renewed_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("not_before", UtcTime),
    Column("fallback_reason", String(24)),
    Column("moved_reason", String(24)),
    Column("error", Words),
    Column("result", Text),
    Column("worker", String(200)),
    Column("folded", Boolean, nullable=False),
    Column("drill", String(64)),
    Column("nonce", String(32)),
    Column("way", Text, nullable=False),
    Column("envelope", Text, nullable=False),
    # What was admitted in a window is judged once, when it is old enough. The other indexes are in
    # `partial_indexes`.
    Index("job_admitted", "name", "accepted_at"),
)
"""One row per job, found by sub-pipeline and id.

`way` is its history, one JSON object a line, only ever appended to. `renewed_at` is by the
database's clock.
"""

pruned = Table(
    "pruned",
    metadata,
    Column("what", String(16), primary_key=True),
    Column("before", UtcTime, nullable=False),
)
"""One row, `job`: jobs that finished before then may have been deleted."""

tally = Table(
    "tally",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("assigned_path", String(12), primary_key=True),
    Column("path", String(12), primary_key=True),
    Column("outcome", String(12), primary_key=True),
    Column("reason", String(24), primary_key=True),
    Column("jobs", BigInteger, nullable=False),
)
"""Finished jobs, counted once each by the fold."""

cycle_tally = Table(
    "cycle_tally",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("assigned_path", String(12), primary_key=True),
    Column("le_s", Float, primary_key=True),
    Column("jobs", BigInteger, nullable=False),
    Column("sum_s", Float, nullable=False),
)
"""Cycle times of committed jobs in fixed buckets."""

kept_message = Table(
    "kept_message",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("queue", ShortWords(200), nullable=False),
    Column("why", Words, nullable=False),
    Column("headers", Words, nullable=False),
    Column("body", Words, nullable=False),
)
"""Foreign or malformed messages that were refused on one of our queues."""
