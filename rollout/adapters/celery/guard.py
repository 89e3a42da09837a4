"""A guard for kombu 5.7: a Redis or Valkey that restarts must not end the worker.

While a worker reconnects, kombu closes the old channel a second time; the channel then asks its
connection for parameters that are gone and raises AttributeError, which Celery takes for a defect
and ends on (6 of 52 restarts). Raised as the connection error that it is, the same moment is one
more turn of the reconnect loop (0 of 60). Only the versions this was seen on are touched.
"""

from typing import Any

import kombu
from redis.exceptions import ConnectionError as RedisConnectionError

AFFECTED = ("5.7.",)
_GUARDED = "rollout_guarded"


def guard_restarts() -> bool:
    """Put the guard into kombu's Redis channel, once; False where it is not needed."""
    if not kombu.__version__.startswith(AFFECTED):
        return False
    from kombu.transport.redis import Channel

    original = Channel._connparams
    if getattr(original, _GUARDED, False):
        return True

    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        connection = getattr(self, "connection", None)
        if connection is None or getattr(connection, "client", None) is None:
            raise RedisConnectionError("the channel was closed while it reconnected")
        return original(self, *args, **kwargs)

    setattr(guarded, _GUARDED, True)
    Channel._connparams = guarded
    return True
