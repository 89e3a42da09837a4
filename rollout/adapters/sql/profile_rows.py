"""Profiles of legacy on a database."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, select

from rollout.adapters.sql.pilot_tables import legacy_profile
from rollout.adapters.sql.upserts import overwrite
from rollout.pilot.profile import LegacyProfile


def read_profiles(
    connection: Connection, names: Collection[str] | None, *, lock: bool = True
) -> dict[str, LegacyProfile]:
    """Read profiles; `names` None is all of them.

    Args:
        connection: An open transaction.
        names: Sub-pipelines.
        lock: Hold them until the transaction ends; who only looks must not make the fold wait.
    """
    query = select(legacy_profile).order_by(legacy_profile.c.name)
    if lock:
        query = query.with_for_update()
    if names is not None:
        query = query.where(legacy_profile.c.name.in_(list(names)))
    return {
        row.name: LegacyProfile.from_json(json.loads(row.payload))
        for row in connection.execute(query)
    }


def write_profiles(
    connection: Connection, insert_into: Any, profiles: Mapping[str, LegacyProfile]
) -> None:
    """Write profiles, in one order so that two writers cannot wait for each other."""
    rows = [
        {"name": name, "payload": json.dumps(one.to_json(), separators=(",", ":"))}
        for name, one in sorted(profiles.items())
    ]
    overwrite(connection, insert_into, legacy_profile, rows)
