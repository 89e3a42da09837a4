"""Tables of the doors: tokens, sessions, acts, and answers that may be asked for twice."""

from sqlalchemy import Column, Index, Integer, String, Table, Text

from rollout.adapters.sql.tables import UtcTime, metadata
from rollout.adapters.sql.words import ShortWords, Words

access_token = Table(
    "access_token",
    metadata,
    Column("token_id", String(16), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("actor", ShortWords(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("names", Text),
    Column("made_at", UtcTime, nullable=False),
    Column("made_by", ShortWords(200), nullable=False),
    Column("ends_at", UtcTime),
    Column("revoked_at", UtcTime),
)
"""Tokens by the hash of their secret; `names` is a JSON list, NULL for every sub-pipeline."""

web_session = Table(
    "web_session",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("actor", ShortWords(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("names", Text),
    Column("token_id", String(16), index=True),
    Column("began_at", UtcTime, nullable=False),
    Column("ends_at", UtcTime, nullable=False),
)
"""People who are signed in, by the hash of the id that their browser keeps."""

act = Table(
    "act",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", ShortWords(200), nullable=False),
    Column("door", String(8), nullable=False),
    Column("request_id", ShortWords(64), nullable=False),
    Column("address", ShortWords(64), nullable=False),
    Column("action", ShortWords(32), nullable=False),
    Column("name", ShortWords(100)),
    Column("reason", Words, nullable=False),
    Column("came", String(12), nullable=False),
    Column("said", Words, nullable=False),
    Index("act_name", "name", "id"),
)
"""Append-only log of acts, refused ones too; triggers refuse update and delete."""

request_answer = Table(
    "request_answer",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("began_at", UtcTime, nullable=False, index=True),
    Column("status", Integer),
    Column("body", Text),
)
"""Answers by the hash of caller and Idempotency-Key."""
