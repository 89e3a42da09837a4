"""How each path heals, on a database: what is watched, and how long it took."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.lease_rows import must_lead
from rollout.adapters.sql.pilot_tables import path_watch, recovery
from rollout.adapters.sql.upserts import overwrite
from rollout.drills.watch import Watch
from rollout.evidence.errors import EvidenceError
from rollout.pilot.ports import Recovery
from rollout.routing.decision import JobPath


class RecoveryRows:
    """The part of the ledger that remembers watches and recoveries."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert: Any = database.insert

    def watches(self) -> dict[tuple[str, JobPath], Watch]:
        """Read what is known of each path; one that this release cannot read begins afresh."""
        with self._db.read() as connection:
            return {
                (row.name, JobPath(row.path)): _watch_of(row)
                for row in connection.execute(select(path_watch))
            }

    def save_watches(
        self,
        token: int,
        watches: Mapping[tuple[str, JobPath], Watch],
        recoveries: Sequence[Recovery],
    ) -> None:
        """Write watches and the incidents that have ended, in one transaction."""
        rows = [
            {
                "name": name,
                "path": path,
                "payload": json.dumps(watch.to_json(), separators=(",", ":")),
            }
            for (name, path), watch in sorted(watches.items())
        ]
        with self._db.write() as connection:
            must_lead(connection, token)
            overwrite(connection, self._insert, path_watch, rows)
            for healed in recoveries:
                connection.execute(insert(recovery).values(**_values_of(healed)))

    def add_recovery(self, healed: Recovery) -> None:
        """Record how long a path took to heal."""
        with self._db.write() as connection:
            connection.execute(insert(recovery).values(**_values_of(healed)))

    def recoveries(self, name: str | None, since: datetime) -> list[Recovery]:
        """Read recoveries that ended at or after `since`, oldest first; None: of all names."""
        query = select(recovery).where(recovery.c.at >= since)
        query = query.order_by(recovery.c.at, recovery.c.id)
        if name is not None:
            query = query.where(recovery.c.name == name)
        with self._db.read() as connection:
            return [_recovery_of(row) for row in connection.execute(query).mappings()]


def _watch_of(row: Any) -> Watch:
    try:
        return Watch.from_json(json.loads(row.payload))
    except (EvidenceError, ValueError, KeyError):
        return Watch()


def _values_of(healed: Recovery) -> dict[str, Any]:
    return {key: getattr(healed, key) for key in Recovery.__dataclass_fields__}


def _recovery_of(row: Mapping[Any, Any]) -> Recovery:
    values: dict[str, Any] = {key: row[key] for key in Recovery.__dataclass_fields__}
    return Recovery(**{**values, "path": JobPath(values["path"])})
