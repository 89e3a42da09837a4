"""The routing decision, in CPU nanoseconds a call, beside flag SDKs that answer the same."""

from statistics import median
from typing import Any

from growthbook import GrowthBook
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from xxhash import xxh3_64_intdigest

from ops.bench.figures import cpu_ns
from rollout.adapters.clock import SystemClock
from rollout.adapters.memory.control_store import MemoryControlStore
from rollout.routing.decision import JobPath
from rollout.routing.router import Router
from rollout.routing.stages import ControlState, Stage

ROUNDS = 11
SCOPE_BP = 800
KEY = "customer-4711"
CALLS = {"bare_hash": 200_000, "route": 100_000, "growthbook": 5_000, "openfeature": 2_000}


def measure() -> dict[str, float]:
    """Decide for one key again and again; the four take turns.

    `route` is the whole decision: path, reason, revision, freshness and pid check. The flag SDKs
    get the key and a flag of the same share, and no network.
    """
    store = MemoryControlStore(SystemClock())
    store.project(ControlState("bench", Stage.SPLIT, SCOPE_BP, salt="bench", revision=7))
    # The reading is fresh for the whole run: refreshing once a second is the store's cost.
    router = Router(store, SystemClock(), snapshot_s=3600)
    assert router.decide("bench", KEY).path is JobPath.LEGACY
    book = _growthbook()
    client, context = _openfeature()
    data, limit = KEY.encode(), 2**63
    actions = {
        "bare_hash": lambda: xxh3_64_intdigest(data) < limit,
        "route": lambda: router.decide("bench", KEY),
        "growthbook": lambda: book.is_on("new-path"),
        "openfeature": lambda: client.get_boolean_value("new-path", False, context),
    }
    samples: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(ROUNDS):
        for name, action in actions.items():
            samples[name].append(cpu_ns(action, CALLS[name]))
    found = {f"{name}_ns": round(median(values), 1) for name, values in samples.items()}
    fastest = min(found["growthbook_ns"], found["openfeature_ns"])
    found["route_ratio_to_fastest_sdk"] = round(fastest / found["route_ns"], 2)
    return found


def _growthbook() -> Any:
    rule = {"force": True, "coverage": SCOPE_BP / 10_000, "hashAttribute": "id"}
    return GrowthBook(
        attributes={"id": KEY},
        features={"new-path": {"defaultValue": False, "rules": [rule]}},
    )


def _openfeature() -> tuple[Any, EvaluationContext]:
    flag = InMemoryFlag("off", {"on": True, "off": False})
    api.set_provider(InMemoryProvider({"new-path": flag}))
    return api.get_client(), EvaluationContext(KEY)
