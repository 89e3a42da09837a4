"""Which builds the workers run, on a database."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, text, update

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.pilot_tables import build_seen
from rollout.adapters.sql.tables import from_microseconds, sub_pipeline
from rollout.pilot.builds import BuildRecord, Seen, newest_build
from rollout.routing.decision import JobPath

_COLUMNS = {
    JobPath.LEGACY: sub_pipeline.c.legacy_build,
    JobPath.CONCURRENT: sub_pipeline.c.concurrent_build,
}
_LENGTH_MAX = 100
_FRESH = timedelta(seconds=30)
"""What was said this lately by any worker need not be written again."""


class BuildRows:
    """The part of the ledger that knows releases."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert: Any = database.insert

    def announce(self, name: str, path: JobPath, build: str) -> None:
        """Say that workers run this build of a path; `pilot.builds` says what that changes."""
        build = build[:_LENGTH_MAX]
        with self._db.read() as connection:
            now = ledger_now(self._db, connection)
            current, seen = self._known_builds(connection, name, path, build, lock=False)
        if current == build and build in seen and seen[build].last_at > now - _FRESH:
            return
        with self._db.write() as connection:
            current, seen = self._known_builds(connection, name, path, build, lock=True)
            now = ledger_now(self._db, connection)
            newest = newest_build(seen.get(current or ""), seen.get(build), build, now)
            row = {"name": name, "path": path, "build": build, "first_at": now, "last_at": now}
            told = self._insert(build_seen).values(row)
            # One that comes back after the newer one has left is the newest from here on.
            again = {"last_at": now} if newest == current else {"first_at": now, "last_at": now}
            keys = ["name", "path", "build"]
            connection.execute(told.on_conflict_do_update(index_elements=keys, set_=again))
            if newest != current:
                column = _COLUMNS[path].name
                mine = sub_pipeline.c.name == name
                connection.execute(update(sub_pipeline).where(mine).values({column: newest}))

    def _known_builds(
        self, connection: Connection, name: str, path: JobPath, build: str, *, lock: bool
    ) -> tuple[str | None, dict[str, Seen]]:
        """The path's build, and what is known of it and of `build`."""
        query = select(_COLUMNS[path]).where(sub_pipeline.c.name == name)
        if lock:
            query = query.with_for_update()
        current = connection.execute(query).scalar_one_or_none()
        rows = connection.execute(
            select(build_seen.c.build, build_seen.c.first_at, build_seen.c.last_at).where(
                build_seen.c.name == name,
                build_seen.c.path == path,
                build_seen.c.build.in_([build, current or build]),
            )
        )
        return current, {row.build: Seen(row.build, row.first_at, row.last_at) for row in rows}

    def builds(self) -> dict[str, tuple[str | None, str | None]]:
        """Builds of the legacy and the concurrent path, by sub-pipeline."""
        columns = (sub_pipeline.c.name, *_COLUMNS.values())
        with self._db.read() as connection:
            return {name: (old, new) for name, old, new in connection.execute(select(*columns))}

    def build_records(self, name: str | None) -> list[BuildRecord]:
        """Every build that workers spoke of, the newest first."""
        query = select(build_seen).order_by(build_seen.c.first_at.desc(), build_seen.c.build.desc())
        if name is not None:
            query = query.where(build_seen.c.name == name)
        with self._db.read() as connection:
            rows = connection.execute(query).all()
        return [
            BuildRecord(one.name, JobPath(one.path), one.build, one.first_at, one.last_at)
            for one in rows
        ]

    def builds_running(self) -> list[tuple[str, JobPath, str]]:
        """Builds that workers spoke of in the last minutes, where there are two of one path."""
        with self._db.read() as connection:
            since = ledger_now(self._db, connection) - timedelta(minutes=3)
            rows = connection.execute(
                select(build_seen.c.name, build_seen.c.path, build_seen.c.build)
                .where(build_seen.c.last_at > since)
                .order_by(build_seen.c.name, build_seen.c.path, build_seen.c.first_at)
            ).all()
        keys = [(row.name, row.path) for row in rows]
        return [
            (row.name, JobPath(row.path), row.build)
            for row in rows
            if keys.count((row.name, row.path)) > 1
        ]


def ledger_now(database: Database, connection: Connection) -> datetime:
    """The time by the database's clock: one for all who ask, whatever their own clocks say."""
    if database.is_postgresql:
        asked = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)")
    else:
        asked = text("SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)")
    return from_microseconds(connection.execute(asked).scalar_one())
