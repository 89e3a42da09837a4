"""The parts of the bench that need a worker: latency, throughput by pool and size, publishing."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ops.bench.servers import LEDGERS, TCP, Servers, send_all_to_concurrent, worker
from rollout import JobPath

POOLS = (("prefork", 2), ("prefork", 4), ("threads", 4))

NAMES = (
    "latency_noop_ms",
    "latency_20ms_ms",
    *(f"throughput_{pool}_{size}" for pool, size in POOLS),
    "publishing_us",
)


def parts(found: Servers) -> dict[str, Callable[[], Any]]:
    """Each by its name; the app in jobs.py reads its variables when it is imported."""
    return {
        "latency_noop_ms": lambda: _latency(found, 0, 120),
        "latency_20ms_ms": lambda: _latency(found, 20, 60),
        **{
            f"throughput_{pool}_{size}": partial(_throughput, found, pool, size)
            for pool, size in POOLS
        },
        "publishing_us": lambda: _publishing(found),
    }


@contextmanager
def _working(found: Servers, pool: str = "prefork", size: int = 2) -> Iterator[str]:
    stamps = found.folder / "stamps"
    stamps.touch()
    variables = {"BENCH_REDIS": found.redis_url, "BENCH_STAMPS": str(stamps)}
    variables |= {f"BENCH_{ledger.upper()}": url for ledger, url in found.ledger_urls.items()}
    os.environ.update(variables)
    _declare(found)
    with worker(found, variables, pool, size) as node:
        yield node


def _declare(found: Servers) -> None:
    """Send the concurrent case of each ledger wholly to its path, once."""
    for ledger in (*LEDGERS, TCP):
        runtime = found.runtime(ledger)
        name = f"{ledger}-{JobPath.CONCURRENT}"
        if name not in {state.name for state in runtime.ledger.controls()}:
            send_all_to_concurrent(runtime, name)
        runtime.close()


def _latency(found: Servers, sleep_ms: float, count: int) -> Any:
    with _working(found) as node:
        from ops.bench import end_to_end

        taken = end_to_end.latency(node, sleep_ms, count)
        end_to_end.check(found)
        return taken


def _throughput(found: Servers, pool: str, size: int) -> Any:
    with _working(found, pool, size) as node:
        from ops.bench import end_to_end

        taken = end_to_end.throughput(node, found, count=200, rounds=3)
        end_to_end.check(found)
        return taken


def _publishing(found: Servers) -> Any:
    """Last, because it leaves its jobs in the queues."""
    with _working(found):
        from ops.bench import publish

        return publish.measure()
