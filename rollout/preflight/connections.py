"""Connections that the concurrent path needs at its full width, against what databases allow."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.preflight.facts import Room, TaskFacts
from rollout.preflight.findings import Check, Finding, NotChecked, Passed, Result


def check_connections(task: TaskFacts) -> Iterator[Result]:
    """Multiply each pool by the processes, and hold the sum against what is left."""
    rooms = {one.database: one for one in task.rooms}
    needed: dict[str, int] = {}
    for pool in task.pools:
        needed[pool.database] = needed.get(pool.database, 0) + pool.size * task.processes
    for database, connections in sorted(needed.items()):
        if database in rooms:
            yield _against(rooms[database], connections, task.processes)
        else:
            why = task.unasked.get(database, "nobody asked it")
            yield NotChecked(
                Check.CONNECTIONS,
                f"{database} may be asked for {connections:,} connections at {task.processes} "
                f"processes, and what it allows is not known: {why}",
                "compare it with its max_connections",
            )
    if not needed:
        yield NotChecked(
            Check.CONNECTIONS,
            "neither the ledger nor an SQLAlchemy engine of the app is a database with a limit on "
            "connections",
            "where the path connects by itself, multiply by --processes",
        )


def _against(room: Room, connections: int, processes: int) -> Result:
    left = room.connections_max - room.used
    figures = (
        f"{room.database} has {left:,} of {room.connections_max:,} connections left, and "
        f"{processes} processes may open {connections:,}"
    )
    if connections > left:
        return Finding(
            Check.CONNECTIONS,
            figures,
            "make the pools smaller (pool_size, max_overflow), raise max_connections, or put "
            "pgbouncer before it",
        )
    return Passed(Check.CONNECTIONS, figures)
