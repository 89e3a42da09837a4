"""The client of the control store that workers and the controller use: redis-py.

One server, or the primary that Sentinels name: `sentinel://user:password@host:26379;sentinel://
host2:26379/0`, as Celery writes it, with `?master_name=NAME` (or Celery's transport option of that
name). The primary is asked for at each new connection, so a failover is followed when the old one
has closed its own. A Redis Cluster is none: what a start asks lies under several keys and is read
by one command.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SCHEMES = {"valkey": "redis", "valkeys": "rediss", "redis+socket": "unix"}
"""Celery's and Valkey's names of schemes that redis-py knows by another."""
SENTINEL_PORT = 26_379


def open_client(
    url: str,
    connect_timeout_s: float,
    read_timeout_s: float,
    options: Mapping[str, Any] | None = None,
) -> "Redis":
    """Open a client that never waits longer than its two timeouts and never repeats a command.

    Args:
        url: Of one server, or of Sentinels.
        connect_timeout_s: Longest wait for a connection; of Sentinels for each that is asked.
        read_timeout_s: Longest wait for an answer.
        options: Celery's transport options, of which Sentinels need `master_name` where the URL
            does not say it, and `sentinel_kwargs` where they want a password of their own.

    Raises:
        ValueError: The URL is none of these.
    """
    given: dict[str, Any] = {
        "socket_connect_timeout": connect_timeout_s,
        "socket_timeout": read_timeout_s,
        "retry": Retry(NoBackoff(), 0),
        # The second protocol and no client name save round trips on a new connection, each of
        # which would be allowed the whole read timeout.
        "protocol": 2,
        "driver_info": None,
        "decode_responses": True,
    }
    scheme = url.partition(":")[0]
    if "cluster" in scheme:
        raise ValueError("a Redis Cluster is no store for it, name one server or its Sentinels")
    if scheme == "sentinel":
        return _primary(url, given, options or {})
    client: Redis = Redis.from_url(_as_redis_py(url), **given)
    pool = client.connection_pool
    try:
        pool.connection_class(**pool.connection_kwargs)  # connects nowhere
    except TypeError as error:  # else the first command says so, wherever that is
        unknown = str(error).rpartition(" ")[2]
        raise ValueError(f"it has an option that is not known, {unknown}") from error
    return client


def _as_redis_py(url: str) -> str:
    scheme, colon, rest = url.partition(":")
    return SCHEMES.get(scheme, scheme) + colon + rest


def _primary(url: str, given: Mapping[str, Any], options: Mapping[str, Any]) -> "Redis":
    from redis.sentinel import Sentinel

    hosts: list[tuple[str, int]] = []
    login: dict[str, Any] = {}
    asked: dict[str, str] = {}
    for part in url.split(";"):
        parts = urlsplit(part)
        hosts.append((unquote(parts.hostname or "localhost"), parts.port or SENTINEL_PORT))
        if parts.username:
            login["username"] = unquote(parts.username)
        if parts.password:
            login["password"] = unquote(parts.password)
        if parts.path.strip("/"):
            login["db"] = int(parts.path.strip("/"))
        asked |= dict(parse_qsl(parts.query))
    name = asked.get("master_name") or options.get("master_name")
    if not name:
        raise ValueError("Sentinels need the name of their primary: add ?master_name=NAME")
    own = {name: given[name] for name in ("socket_connect_timeout", "socket_timeout", "retry")}
    own |= {"protocol": 2, "driver_info": None, **options.get("sentinel_kwargs", {})}
    if "sentinel_password" in asked:
        own["password"] = asked["sentinel_password"]
    known: Any = Sentinel  # its module has no types
    primary: Redis = known(hosts, sentinel_kwargs=own, **{**given, **login}).master_for(name, Redis)
    return primary
