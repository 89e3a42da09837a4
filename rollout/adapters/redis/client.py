"""The client of the control store that workers and the controller use: redis-py."""

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SCHEMES = {"valkey": "redis", "valkeys": "rediss", "redis+socket": "unix"}
"""Celery's and Valkey's names of schemes that redis-py knows by another."""


def open_client(url: str, connect_timeout_s: float, read_timeout_s: float) -> "Redis":
    """Open a client that never waits longer than its two timeouts and never repeats a command."""
    return Redis.from_url(
        _as_redis_py(url),
        socket_connect_timeout=connect_timeout_s,
        socket_timeout=read_timeout_s,
        retry=Retry(NoBackoff(), 0),
        # The second protocol and no client name save round trips on a new connection, each of
        # which would be allowed the whole read timeout.
        protocol=2,
        driver_info=None,
        decode_responses=True,
    )


def _as_redis_py(url: str) -> str:
    scheme, colon, rest = url.partition(":")
    return SCHEMES.get(scheme, scheme) + colon + rest
