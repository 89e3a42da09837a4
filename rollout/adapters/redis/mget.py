"""MGET on a connection of redis-py's pool: with its care for forks alone."""

from collections.abc import Sequence
from typing import Any


class PooledMget:
    """Reads several values in one round trip.

    Args:
        pool: Of a client that decodes its answers and repeats no command.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __call__(self, keys: Sequence[str]) -> list[str | None]:
        """Read; raises what redis-py raises.

        Whatever interrupts it, a time limit's signal say, closes the line: an answer that is left
        on it would be taken for that to the next question, which may be another job's.
        """
        connection = self._pool.get_connection()
        try:
            connection.send_packed_command([_packed(keys)])
            values: list[str | None] = connection.read_response()
            return values
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)


def _packed(keys: Sequence[str]) -> bytes:
    """The command as it goes over the line: redis-py's own packing takes any type, and its time.

    Source: https://valkey.io/topics/protocol/ (RESP2, an array of bulk strings).
    """
    parts = [b"*%d\r\n$4\r\nMGET\r\n" % (len(keys) + 1)]
    for key in keys:
        name = key.encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(name), name))
    return b"".join(parts)
