"""The journal of drills; their spans and results are in `pilot_tables.py`."""

from sqlalchemy import Column, Index, Integer, String, Table, Text

from rollout.adapters.sql.tables import UtcTime, metadata

drill_event = Table(
    "drill_event",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("drill_id", String(64), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("what", String(40), nullable=False),
    Column("facts", Text, nullable=False),
    Index("drill_event_name_what", "name", "what"),
)
"""Append-only journal of drills; triggers refuse update and delete."""
