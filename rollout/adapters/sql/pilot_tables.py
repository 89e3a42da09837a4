"""Tables of pilots: evidence, decisions, the controller's lease, drills' spans, recoveries."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from rollout.adapters.sql.tables import UtcTime, metadata
from rollout.adapters.sql.words import Words

pilot = Table(
    "pilot",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("step", Integer, nullable=False),
    Column("on_trial", Integer, nullable=False),
    Column("step_revision", BigInteger, nullable=False),
    Column("began_at", UtcTime, nullable=False),
    Column("scored_to", UtcTime, nullable=False),
    Column("window_us", BigInteger, nullable=False),
    Column("settle_us", BigInteger, nullable=False),
    Column("median_us", BigInteger),
    Column("tail_us", BigInteger),
    Column("median_shifted_us", BigInteger),
    Column("tail_shifted_us", BigInteger),
    Column("payload", Text, nullable=False),
)
"""What the controller remembers of one sub-pipeline's trial; `version` guards its writes."""

legacy_profile = Table(
    "legacy_profile",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("payload", Text, nullable=False),
)
"""What legacy showed lately: its histogram, its failures by day, its busiest hour."""

evidence_hour = Table(
    "evidence_hour",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("hour", Integer, primary_key=True),
    Column("path", String(12), primary_key=True),
    Column("jobs", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("both_failed", BigInteger, nullable=False),
    Column("unjudged", BigInteger, nullable=False),
    Column("slow_median", BigInteger, nullable=False),
    Column("slow_tail", BigInteger, nullable=False),
)
"""Finished jobs of a step by the hour of their admission, counted once each by the fold."""

path_watch = Table(
    "path_watch",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("path", String(12), primary_key=True),
    Column("payload", Text, nullable=False),
)
"""Of a watch for incidents that is gone (decision 0025). Nobody reads or writes it; a migration
drops it when no controller of the release before runs any more."""

decision = Table(
    "decision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(100), nullable=False, index=True),
    Column("at", UtcTime, nullable=False),
    Column("window", String(120), nullable=False),
    Column("action", String(16), nullable=False),
    Column("sentence", Words, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Index("decision_window", "name", "window", unique=True),
)
"""Append-only log of what the controller decided, with everything it decided on."""

notice = Table(
    "notice",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(100), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("action", String(16), nullable=False),
    Column("sentence", Words, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_at", UtcTime, nullable=False),
    Column("told", Text, nullable=False),
    Column("closed", Boolean, nullable=False),
)
"""What people are told of; `told` has a digest of each address that took it, never the address."""

build_seen = Table(
    "build_seen",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("path", String(12), primary_key=True),
    Column("build", String(100), primary_key=True),
    Column("first_at", UtcTime, nullable=False),
    Column("last_at", UtcTime, nullable=False),
)
"""Builds of a path in the order in which workers first spoke of them, by the database's clock."""

lease = Table(
    "lease",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("until", UtcTime, nullable=False),
)
"""Who leads; the token grows with each new leader and fences what an old one still writes."""

leader_policy = Table(
    "leader_policy",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("payload", Text, nullable=False),
)
"""The policies that the last leader judges by; one row."""

drill_span = Table(
    "drill_span",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(100), nullable=False, index=True),
    Column("drill_id", String(64), nullable=False),
    Column("began_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
)
"""When a drill hurt a sub-pipeline: jobs admitted then are judged by nobody."""

recovery = Table(
    "recovery",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(100), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("pair_id", String(64)),
    Column("path", String(12), nullable=False),
    Column("fault", String(100), nullable=False),
    Column("onset_at", UtcTime, nullable=False),
    Column("detected_at", UtcTime),
    Column("recovered_at", UtcTime),
    Column("seconds", Float, nullable=False),
    Column("cap_s", Float, nullable=False),
    Column("version", String(100)),
    Column("jobs_hurt", Integer, nullable=False),
    Column("jobs_lost", Integer, nullable=False),
    Index("recovery_name_at", "name", "at"),
    Index("recovery_at", "at"),
)
"""How long a path took to heal, by drill or in earnest; `seconds` at `cap_s` is censored."""
