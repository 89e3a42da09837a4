"""What is kept of messages and of jobs that are gone, on a database."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.tables import kept_message, pruned


class KeptRows:
    """The part of the ledger that keeps refused messages, and knows what was deleted."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def pruned_before(self) -> datetime | None:
        """The newest `finished_before` that deleted a job; None when none ever was."""
        with self._db.read() as connection:
            return connection.execute(select(pruned.c.before)).scalar_one_or_none()

    def keep_message(self, queue: str, why: str, headers: str, body: str, now: datetime) -> None:
        """Keep a message that was refused on one of our queues."""
        with self._db.write() as connection:
            connection.execute(
                insert(kept_message).values(
                    at=now, queue=queue, why=why, headers=headers, body=body
                )
            )

    def kept_messages(self, limit: int) -> list[Mapping[str, Any]]:
        """List refused messages, newest first."""
        query = select(kept_message).order_by(kept_message.c.id.desc()).limit(limit)
        with self._db.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]
