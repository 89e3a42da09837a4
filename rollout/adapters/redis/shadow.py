"""The budget of shadow copies in the control store's Redis or Valkey: one script, one round trip.

Keys, under the store's prefix, both of which expire:

    shadow:free:<name>        when the next copy may go, by the rate limit (microseconds)
    shadow:day:<name>:<day>   copies of a day (UTC, the server's own)

Times are the server's, so that workers' clocks need not agree.
"""

from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import RedisError

from rollout.adapters.redis.client import open_client
from rollout.shadow.copies import Shed

_TAKE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local day = KEYS[2] .. ':' .. math.floor(tonumber(time[1]) / 86400)
local taken = tonumber(redis.call('GET', day) or '0')
if taken >= tonumber(ARGV[3]) then return 'budget' end
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
if free - now > tonumber(ARGV[2]) then return 'rate' end
local next = free + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX',
           string.format('%.0f', math.ceil((next - now) / 1000) + 1000))
redis.call('INCR', day)
redis.call('EXPIRE', day, 172800)
return ''
"""


class RedisShadowBudget:
    """`shadow.ports.ShadowBudget` on a Redis or Valkey server.

    Args:
        url: `redis://host:port/db`, also `rediss://` and `unix://`.
        prefix: Put before every key.
        connect_timeout_s: Longest wait for a connection.
        read_timeout_s: Longest wait for an answer.
        client: Makes the client; tests pass fakeredis.
        options: Celery's transport options, for what Sentinels need; see `open_client`.
    """

    def __init__(
        self,
        url: str,
        prefix: str = "rollout:",
        connect_timeout_s: float = 0.1,
        read_timeout_s: float = 0.1,
        client: Callable[[], Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._prefix = prefix
        make = client or (lambda: open_client(url, connect_timeout_s, read_timeout_s, options))
        self._redis: Any = make()
        self._script = self._redis.register_script(_TAKE)

    def take(self, name: str, rate_per_s: float, per_day: int) -> str | None:
        """Take one copy's share of rate and day's budget; see `shadow.ports.ShadowBudget`."""
        interval_us = 1e6 / rate_per_s
        slack_us = max(0.0, 1e6 - interval_us)
        keys = [f"{self._prefix}shadow:free:{name}", f"{self._prefix}shadow:day:{name}"]
        try:
            said = self._script(keys=keys, args=[interval_us, slack_us, per_day])
        except (RedisError, OSError, UnicodeError):
            return Shed.STORE
        return Shed(said) if said else None

    def close(self) -> None:
        """Close all connections of this process."""
        self._redis.close()
