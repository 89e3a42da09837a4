"""MGET on a connection of redis-py's pool: with its care for forks and broken lines alone."""

from typing import Any


class PooledMget:
    """Reads several values in one round trip.

    Args:
        pool: Of a client that decodes its answers and repeats no command.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __call__(self, keys: list[str]) -> list[str | None]:
        """Read; raises what redis-py raises. A line that broke is closed by its connection."""
        connection = self._pool.get_connection()
        try:
            connection.send_command("MGET", *keys)
            values: list[str | None] = connection.read_response()
            return values
        finally:
            self._pool.release(connection)
