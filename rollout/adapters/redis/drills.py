"""Drills in the control store: the planted fault, who was hurt by it, and who runs a drill.

Keys, under the store's prefix; each has an expiry, so that nothing outlives its deadline:

    drill:<name>               JSON of the planted fault; read by the gate with the control state
    drill-hurt:<drill_id>      ids of the jobs it has hurt, over all workers
    drill-worker:<drill_id>    the one worker it is aimed at, once it has come by
    drill-lease:<resource>     owner of the drill that has this sub-pipeline (or the ledger)
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from rollout.drills.fault import ONE_WORKER, FaultPlan, read_plan
from rollout.drills.plans import Held

_TAKE = """
local held = redis.call('GET', KEYS[1])
if not held then return 0 end
local ok, plan = pcall(cjson.decode, held)
if not ok or type(plan) ~= 'table' or plan.drill_id ~= ARGV[1] then return 0 end
if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then return 0 end
local left = redis.call('PTTL', KEYS[1])
if ARGV[4] == '1' then
  local worker = redis.call('GET', KEYS[5])
  if worker and worker ~= ARGV[3] then return 0 end
end
if redis.call('SISMEMBER', KEYS[4], ARGV[2]) == 0 then
  if redis.call('SCARD', KEYS[4]) >= tonumber(ARGV[5]) then return 0 end
  redis.call('SADD', KEYS[4], ARGV[2])
  redis.call('PEXPIRE', KEYS[4], math.max(left, 1))
end
if ARGV[4] == '1' then redis.call('SET', KEYS[5], ARGV[3], 'PX', math.max(left, 1)) end
return 1
"""
"""All or nothing, and after the kill latches: a job is hurt under a plan, a limit and no kill."""

_UNPLANT = """
local held = redis.call('GET', KEYS[1])
if not held then return 0 end
local ok, plan = pcall(cjson.decode, held)
if ok and type(plan) == 'table' and ARGV[1] ~= '' and plan.drill_id ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
_RESERVE = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return {held, redis.call('PTTL', KEYS[1])} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {}
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisDrillPlans(ABC):
    """`drills.ports.DrillPlans`, the part of `RedisControlStore` that drills use."""

    _redis: Any
    _prefix: str

    def _register_drill_scripts(self) -> None:
        self._take = self._redis.register_script(_TAKE)
        self._unplant = self._redis.register_script(_UNPLANT)
        self._reserve = self._redis.register_script(_RESERVE)
        self._release = self._redis.register_script(_RELEASE)

    def _plan_key(self, name: str) -> str:
        return f"{self._prefix}drill:{name}"

    def plant(self, plan: FaultPlan, ttl: timedelta) -> bool:
        """Put a fault in force for at most `ttl`; False when the sub-pipeline has one already."""
        key, text = self._plan_key(plan.name), plan.to_json()
        return bool(self._ask(lambda: self._redis.set(key, text, px=ttl, nx=True)))

    def unplant(self, name: str, drill_id: str | None) -> bool:
        """Take a fault away if it is this drill's (None: anybody's); False when there is none."""
        key = self._plan_key(name)
        return bool(self._ask(lambda: self._unplant(keys=[key], args=[drill_id or ""])))

    def planted(self, name: str) -> FaultPlan | None:
        """Read the fault in force on a sub-pipeline."""
        return read_plan(name, self._ask(lambda: self._redis.get(self._plan_key(name))))

    def take(self, plan: FaultPlan, job_id: str, node: str) -> bool:
        """Take this job into the drill; False when the plan is gone, full, killed or another's."""
        keys = [
            self._plan_key(plan.name),
            f"{self._prefix}kill:{plan.name}",
            f"{self._prefix}kill",
            f"{self._prefix}drill-hurt:{plan.drill_id}",
            f"{self._prefix}drill-worker:{plan.drill_id}",
        ]
        one = "1" if plan.worker == ONE_WORKER else "0"
        args = [plan.drill_id, job_id, node, one, plan.jobs_max]
        return bool(self._ask(lambda: self._take(keys=keys, args=args)))

    def reserve(self, resource: str, owner: str, ttl: timedelta) -> Held | None:
        """Have a resource for one drill, for `ttl` from now on; who else has it, how long yet."""
        key = f"{self._prefix}drill-lease:{resource}"
        ttl_ms = max(1, int(ttl.total_seconds() * 1000))
        held = self._ask(lambda: self._reserve(keys=[key], args=[owner, ttl_ms]))
        if not held:
            return None
        return Held(str(held[0]), timedelta(milliseconds=max(0, int(held[1]))))

    def release(self, resource: str, owner: str) -> None:
        """Give a resource back, if it is this owner's."""
        key = f"{self._prefix}drill-lease:{resource}"
        self._ask(lambda: self._release(keys=[key], args=[owner]))

    @abstractmethod
    def _ask(self, command: Callable[[], Any]) -> Any:
        """Turn a store that does not answer into ControlStoreUnreachable."""
