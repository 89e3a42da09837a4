"""Notices that wait to be sent, on a database."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select, text, update

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.pilot_tables import notice
from rollout.pilot.ports import Notice

_OPEN = text("NOT closed")
_KEPT = timedelta(days=30)


class NoticeRows:
    """The part of the ledger that the sender of notices reads."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def take_notice(self, now: datetime, again_at: datetime) -> Notice | None:
        """Take the oldest notice that is due; nobody else gets it before `again_at`."""
        due = select(notice.c.id).where(_OPEN, notice.c.next_at <= now).order_by(notice.c.id)
        with self._db.read() as connection:
            if connection.execute(due.limit(1)).first() is None:
                return None
        with self._db.write() as connection:
            chosen = due.limit(1).with_for_update(skip_locked=True)
            found = connection.execute(chosen).scalar_one_or_none()
            if found is None:
                return None
            taken = (
                update(notice)
                .where(notice.c.id == found)
                .values(tries=notice.c.tries + 1, next_at=again_at)
            )
            return _notice_of(connection.execute(taken.returning(notice)).one())

    def note_told(
        self, notice_id: int, told: Iterable[str], again_at: datetime | None, now: datetime
    ) -> None:
        """Note who was told; without `again_at` nobody is told any more."""
        values: dict[str, Any] = {"told": " ".join(sorted(told)), "closed": again_at is None}
        if again_at is not None:
            values["next_at"] = again_at
        with self._db.write() as connection:
            connection.execute(update(notice).where(notice.c.id == notice_id).values(values))
            if again_at is None:
                old = delete(notice).where(notice.c.closed, notice.c.at < now - _KEPT)
                connection.execute(old)

    def open_notices(self) -> list[Notice]:
        """Notices that were not sent to everybody yet, oldest first."""
        with self._db.read() as connection:
            rows = connection.execute(select(notice).where(_OPEN).order_by(notice.c.id))
            return [_notice_of(row) for row in rows]


def write_notice(
    connection: Connection, name: str, action: str, sentence: str, now: datetime
) -> None:
    """Write a notice in the transaction of what it tells."""
    connection.execute(
        insert(notice).values(
            name=name, at=now, action=action, sentence=sentence, tries=0, next_at=now, told="",
            closed=False,
        )
    )  # fmt: skip


def _notice_of(row: Any) -> Notice:
    told = frozenset(row.told.split())
    return Notice(row.id, row.name, row.at, row.action, row.sentence, row.tries, told)
