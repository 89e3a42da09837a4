"""Micro-batches for the bench, and the peer: ordered futures in bounded queues, by hand."""

import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Queue
from threading import Thread

from rollout.execution import Chain, ChainEngine, Landing, Stage

RECORDS, SIZE = 200_000, 500
STAGES = (("ingest", 0.005, 1), ("transform", 0.0025, 2), ("load", 0.015, 4))
"""Name, seconds a batch, workers; from the issue."""

Batch = list[int]


@dataclass(frozen=True)
class Ran:
    """Seconds, and whether every record landed once and in order."""

    seconds: float
    in_order: bool


def stage(seconds: float) -> Callable[[Batch], Batch]:
    """A stage that waits, as for a disk or a service."""

    def work(batch: Batch) -> Batch:
        time.sleep(seconds)
        return batch

    return work


def sequential(records: int = RECORDS) -> Ran:
    """One batch after the other through all stages."""
    landed: Batch = []
    began = time.perf_counter()
    for first in range(0, records, SIZE):
        batch = list(range(first, min(records, first + SIZE)))
        for _, seconds, _ in STAGES:
            batch = stage(seconds)(batch)
        landed.extend(batch)
    return Ran(time.perf_counter() - began, landed == list(range(records)))


def ours(records: int = RECORDS) -> Ran:
    """Our engine."""
    landed: Batch = []

    def sink(rows: Batch, landing: Landing) -> None:
        landed.extend(rows)

    chain = Chain(
        "bench", [Stage(name, stage(one), workers) for name, one, workers in STAGES], size=SIZE
    )
    began = time.perf_counter()
    ChainEngine(chain, range(records), sink=sink).run()
    return Ran(time.perf_counter() - began, landed == list(range(records)))


def threads_by_hand(records: int = RECORDS) -> Ran:
    """A pool per stage, futures in a bounded queue, a thread per stage that keeps their order."""
    landed: Batch = []
    began = time.perf_counter()
    pools = [ThreadPoolExecutor(workers) for _, _, workers in STAGES]
    queues: list[Queue[Future[Batch] | None]] = [Queue(workers + 2) for _, _, workers in STAGES]

    def feed() -> None:
        work = stage(STAGES[0][1])
        for first in range(0, records, SIZE):
            batch = list(range(first, min(records, first + SIZE)))
            queues[0].put(pools[0].submit(work, batch))
        queues[0].put(None)

    def pass_on(at: int) -> None:
        work = stage(STAGES[at][1])
        while (future := queues[at - 1].get()) is not None:
            queues[at].put(pools[at].submit(work, future.result()))
        queues[at].put(None)

    threads = [Thread(target=feed), *(Thread(target=pass_on, args=(at,)) for at in (1, 2))]
    for thread in threads:
        thread.start()
    while (future := queues[-1].get()) is not None:
        landed.extend(future.result())
    for thread in threads:
        thread.join()
    for pool in pools:
        pool.shutdown()
    return Ran(time.perf_counter() - began, landed == list(range(records)))


def bound() -> float:
    """The largest speed-up that these stages and workers allow."""
    return sum(one for _, one, _ in STAGES) / max(one / workers for _, one, workers in STAGES)


def peak_bytes(records: int) -> int:
    """Peak memory of a run through a slow sink, its trace of the newest spans included."""

    def sink(rows: list[bytes], landing: Landing) -> None:
        time.sleep(0.0005)

    chain = Chain("memory", [Stage("a", list, 2), Stage("b", list, 2)], size=SIZE // 5)
    source = (bytes(100) for _ in range(records))
    tracemalloc.start()
    ChainEngine(chain, source, sink=sink).run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
