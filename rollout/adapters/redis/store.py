"""The control store on Redis or Valkey: one MGET at each start, forward-only writes.

Keys, under a prefix (`rollout:` by default):

    control:<name>   JSON of the control state, written only over an older revision
    kill:<name>      JSON of the latched kill; `kill` alone is `kill --all`
    supervision      owner of the last heartbeat; expires when no controller lives
    drill:<name>     a drill's planted fault; expires by itself (see `redis_drills.py`)
    tried:<hex>      for a second, while `rollout doctor` tries whether writes are taken

Kill latches have keys of their own, so that a projection that was under way when the kill came
cannot undo it. The client is opened at first use and redis-py gives each forked process its own
connections; there is no thread.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from rollout.adapters.redis.drills import RedisDrillPlans
from rollout.adapters.redis.mget import PooledMget
from rollout.adapters.redis.small_client import SmallClient, plain
from rollout.drills.fault import read_plan
from rollout.errors import ControlStoreUnreachable, NotPermitted, WrongSettings, why_of
from rollout.routing.decision import Reason
from rollout.routing.ports import Kill
from rollout.routing.rule import Reading
from rollout.routing.stages import BP_ALL, ControlState, Stage
from rollout.settings import without_password

_FORWARD = """
local held = redis.call('GET', KEYS[1])
if held then
  local ok, state = pcall(cjson.decode, held)
  if ok and type(state) == 'table' and tonumber(state.revision)
     and tonumber(state.revision) >= tonumber(ARGV[2])
     and tonumber(state.revision) ~= tonumber(ARGV[3]) then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""
_UNLATCH = """
local held = redis.call('GET', KEYS[1])
if not held then return 0 end
local ok, kill = pcall(cjson.decode, held)
if ok and type(kill) == 'table' and type(kill.kill_id) == 'string'
   and kill.kill_id ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
_NAMES_A_TRIP = 250
"""Sub-pipelines read by one command: some 100 kB."""
_FIELDS = tuple(field.name for field in fields(ControlState))


class RedisControlStore(RedisDrillPlans):
    """`routing.ports.ControlStore` and `drills.ports.DrillPlans` on a Redis or Valkey server.

    Args:
        url: `redis://host:port/db`, also `rediss://`, `unix://` and `sentinel://`.
        prefix: Put before every key.
        connect_timeout_s: Longest wait for a connection.
        read_timeout_s: Longest wait for an answer.
        client: Makes the client; tests pass fakeredis.
        options: Celery's transport options, for what Sentinels need; see `open_client`.
        small: Load no client library where the URL allows it, for commands that run briefly.

    Raises:
        WrongSettings: The URL is not one of a Redis or Valkey server.
    """

    def __init__(
        self,
        url: str,
        prefix: str = "rollout:",
        connect_timeout_s: float = 0.1,
        read_timeout_s: float = 0.1,
        client: Callable[[], Any] | None = None,
        *,
        small: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._url = url
        self._prefix = prefix
        address = plain(url) if small else None
        if address is not None:
            self._redis: Any = SmallClient(address, connect_timeout_s, read_timeout_s)
            self._away: tuple[type[Exception], ...] = (OSError, UnicodeError)
        else:
            from redis.exceptions import RedisError

            self._redis = self._open(client, connect_timeout_s, read_timeout_s, options)
            self._away = (RedisError, OSError, UnicodeError)
        self._forward = self._redis.register_script(_FORWARD)
        self._unlatch = self._redis.register_script(_UNLATCH)
        self._register_drill_scripts()
        self._parsed: dict[str, _Parsed] = {}
        # redis-py's layers of commands take as long as the server's answer: they are passed by.
        pooled = client is None and hasattr(self._redis, "connection_pool")
        self._mget: Callable[[list[str]], list[str | None]] = (
            PooledMget(self._redis.connection_pool) if pooled else self._redis.mget
        )

    def _open(
        self,
        client: Callable[[], Any] | None,
        connect_timeout_s: float,
        read_timeout_s: float,
        options: Mapping[str, Any] | None,
    ) -> Any:
        from rollout.adapters.redis.client import open_client

        make = client or (
            lambda: open_client(self._url, connect_timeout_s, read_timeout_s, options)
        )
        try:
            return make()
        except ValueError as error:
            raise WrongSettings(
                "the control store must be redis://host:port/db, rediss://, unix:// or "
                "sentinel://, "
                f"got a URL with scheme {self._url.split(':', 1)[0]!r}: {why_of(error)}",
                "correct ROLLOUT_CONTROL_URL, or ROLLOUT_BROKER_URL when that is not set",
            ) from error

    @property
    def url(self) -> str:
        """Address without password, for messages."""
        return re.sub(r"://[^/;]*@", "://", without_password(self._url)).partition("?")[0]

    def _control_key(self, name: str) -> str:
        return f"{self._prefix}control:{name}"

    def _kill_key(self, name: str | None) -> str:
        return f"{self._prefix}kill" if name is None else f"{self._prefix}kill:{name}"

    @property
    def _supervision_key(self) -> str:
        return f"{self._prefix}supervision"

    def read(self, name: str) -> Reading:
        """Read state, kill latches, supervision and drill in one round trip; never raises."""
        return self.read_all([name])[name]

    def read_all(self, names: Sequence[str]) -> dict[str, Reading]:
        """Read several sub-pipelines, so many names in a round trip; never raises."""
        found: dict[str, Reading] = {}
        for begin in range(0, len(names), _NAMES_A_TRIP):
            found |= self._read_some(names[begin : begin + _NAMES_A_TRIP])
        return found

    def _read_some(self, names: Sequence[str]) -> dict[str, Reading]:
        keys = [self._kill_key(None), self._supervision_key]
        for name in names:
            keys += [self._control_key(name), self._kill_key(name), self._plan_key(name)]
        try:
            killed_all, supervised, *rest = self._mget(keys)
        except self._away:
            return {name: Reading(None, doubt=Reason.UNREACHABLE) for name in names}
        found = {}
        for name, text, killed, plan in zip(names, rest[::3], rest[1::3], rest[2::3], strict=True):
            state, doubt = self._state(name, text)
            found[name] = Reading(
                state,
                killed=killed is not None,
                killed_all=killed_all is not None,
                supervised=supervised is not None,
                doubt=doubt,
                plan=None if plan is None else read_plan(name, plan),
            )
        return found

    def _state(self, name: str, text: str | None) -> tuple[ControlState | None, Reason | None]:
        """Parse the text that was just read, unless it is the same, to the letter, as last time.

        Nothing older than the text is ever used: this saves the parsing, not the asking.
        """
        parsed = self._parsed.get(name)
        if parsed is None or parsed.text != text:
            parsed = _Parsed(text, *_state_from(name, text))
            self._parsed[name] = parsed
        return parsed.state, parsed.doubt

    def project(self, state: ControlState, *, over: int | None = None) -> bool:
        """Write a newer state over an older one; False when the store has a newer one."""
        args: list[str | int] = [
            json.dumps(asdict(state)),
            state.revision,
            -1 if over is None else over,
        ]
        keys = [self._control_key(state.name)]
        return bool(self._ask(lambda: self._forward(keys=keys, args=args)))

    def beat(self, owner: str, ttl: timedelta) -> None:
        """Say that a controller lives; forgotten after `ttl`."""
        self._ask(lambda: self._redis.set(self._supervision_key, owner, px=ttl))

    def latch(self, kill: Kill) -> None:
        """Set a kill latch; it stays until `unlatch`."""
        text = json.dumps({**asdict(kill), "at": kill.at.isoformat()})
        self._ask(lambda: self._redis.set(self._kill_key(kill.name), text))

    def unlatch(self, name: str | None, kill_id: str | None) -> bool:
        """Remove a latch if it is this kill's; False when there is none or another's."""
        return bool(
            self._ask(lambda: self._unlatch(keys=[self._kill_key(name)], args=[kill_id or ""]))
        )

    def latches(self) -> list[Kill]:
        """List all kill latches, that of every sub-pipeline included."""
        own = self._kill_key(None)
        names: list[str] = self._ask(
            lambda: [own, *self._redis.scan_iter(match=f"{own}:*", count=1000)]
        )
        texts = self._ask(lambda: self._redis.mget(names))
        pairs = zip(names, texts, strict=True)
        return [
            _kill_from(None if key == own else key.removeprefix(f"{own}:"), text)
            for key, text in pairs
            if text
        ]

    def ping(self) -> None:
        """Ask the store for an answer. Raises ControlStoreUnreachable."""
        self._ask(self._redis.ping)

    def try_write(self) -> None:
        """Do what a kill, its end and a heartbeat do, on a key of nobody's that lasts a second.

        An answer to `ping` says nothing of rights, of memory that is left, or of a replica.

        Raises:
            ControlStoreUnreachable: It does not take one of them; its own words say why.
        """
        key = f"{self._prefix}tried:{uuid4().hex}"  # under no name that anybody reads
        self._ask(lambda: self._redis.set(key, "", px=timedelta(seconds=1)))
        self._ask(lambda: self._unlatch(keys=[key], args=[""]))
        self.latches()

    def may_forget(self) -> str | None:
        """Name the eviction policy that may drop a kill latch; None when there is none.

        Raises NotPermitted, ControlStoreUnreachable.

        Policies that spare keys without expiry are safe: only heartbeat and drills have one.
        """
        memory = self._info("memory")
        policy = str(memory.get("maxmemory_policy", ""))
        limited = bool(memory.get("maxmemory"))
        return policy if limited and policy.startswith("allkeys-") else None

    def is_cluster(self) -> bool:
        """Whether this is a node of a Redis Cluster. Raises NotPermitted, ControlStoreUnreachable.

        One that holds every slot answers, until there is a second.
        """
        return bool(self._info("cluster").get("cluster_enabled"))

    def _info(self, section: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._redis.info(section)
        except self._away as error:
            # Told by the words: two clients speak to the store, and only one loads redis-py.
            if type(error).__name__ == "NoPermissionError" or any(
                sign in str(error) for sign in ("NOPERM", "unknown command")
            ):
                raise NotPermitted(self.url, "INFO") from error
            raise ControlStoreUnreachable(self.url, error) from error
        return found

    def close(self) -> None:
        """Close all connections of this process."""
        self._redis.close()

    def _ask(self, command: Callable[[], Any]) -> Any:
        try:
            return command()
        except self._away as error:
            raise ControlStoreUnreachable(self.url, error) from error


class _Parsed(NamedTuple):
    """What one text came to."""

    text: str | None
    state: ControlState | None
    doubt: Reason | None


def _state_from(name: str, text: str | None) -> tuple[ControlState | None, Reason | None]:
    """Parse a stored state; anything that is not wholly one is UNREADABLE, never a guess."""
    if text is None:
        return None, Reason.UNKNOWN
    try:
        values = json.loads(text)
        # A newer release may write fields that this one does not know.
        state = ControlState(**{field: values[field] for field in _FIELDS})
        state = replace(state, stage=Stage(state.stage))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None, Reason.UNREADABLE
    if state.name != name or not _is_whole(state):
        return None, Reason.UNREADABLE
    return state, None


def _is_whole(state: ControlState) -> bool:
    """Say whether every field that the gate uses has the type and range it must have."""
    return (
        all(type(share) is int for share in (state.scope_bp, state.holdback_bp))
        and 0 <= state.scope_bp <= BP_ALL
        and 0 <= state.holdback_bp <= BP_ALL
        and all(type(number) is int for number in (state.revision, state.fence_revision))
        and all(type(flag) is bool for flag in (state.killed, state.frozen))
        and type(state.salt) is str
    )


def _kill_from(name: str | None, text: str) -> Kill:
    """Parse a latch; one that cannot be read is still a latch, under the id that lifts it."""
    kill_id = "unreadable"
    try:
        values = json.loads(text)
        if isinstance(values["kill_id"], str):
            kill_id = values["kill_id"]
            at = datetime.fromisoformat(values["at"]).astimezone(UTC)
            return Kill(kill_id, name, str(values["actor"]), str(values["reason"]), at)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    at = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return Kill(kill_id, name, "unknown", "unreadable latch", at)
