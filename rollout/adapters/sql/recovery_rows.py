"""How long each path took to heal, on a database."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from rollout.adapters.sql.database import Database
from rollout.adapters.sql.pilot_tables import recovery
from rollout.pilot.ports import Recovery
from rollout.routing.decision import JobPath


class RecoveryRows:
    """The part of the ledger that remembers recoveries."""

    def __init__(self, database: Database) -> None:
        self._db = database

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


def _values_of(healed: Recovery) -> dict[str, Any]:
    return {key: getattr(healed, key) for key in Recovery.__dataclass_fields__}


def _recovery_of(row: Mapping[Any, Any]) -> Recovery:
    values: dict[str, Any] = {key: row[key] for key in Recovery.__dataclass_fields__}
    return Recovery(**{**values, "path": JobPath(values["path"])})
