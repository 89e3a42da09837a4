"""Graphs for the bench, and peers that run them: what a team would write or take instead.

A workload is a list of steps with their parents and their seconds; each runner gives the seconds
that the whole took. Peers are not tuned down: each is the shortest correct program of its kind.
"""

import json
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread

from rollout.execution import Graph, GraphEngine, Step
from rollout.execution.paths import Bounds, bounds

LAYERS, WIDTH = 10, 100


@dataclass(frozen=True)
class Workload:
    """Steps by number: parents and seconds."""

    name: str
    after: tuple[tuple[int, ...], ...]
    seconds: tuple[float, ...]
    source: str

    def bounds(self, workers: int) -> Bounds:
        """What no run can beat."""
        return bounds(self.graph, self.seconds, workers)

    def scaled(self, bound_s: float, workers: int) -> "Workload":
        """The same with a bound of so many seconds."""
        factor = bound_s / self.bounds(workers).bound_s
        return Workload(
            self.name, self.after, tuple(one * factor for one in self.seconds), self.source
        )

    @cached_property
    def graph(self) -> Graph:
        """As our graph: declared once, as a program does."""
        return Graph(
            self.name,
            [
                Step(str(at), sleep, args=(one,), after=[str(parent) for parent in parents])
                for at, (one, parents) in enumerate(zip(self.seconds, self.after, strict=True))
            ],
        )

    def run_times(self) -> dict[str, float]:
        """What an earlier run would have remembered."""
        return {str(at): one for at, one in enumerate(self.seconds)}


def sleep(seconds: float) -> None:
    """A step: nothing, or a wait."""
    if seconds:
        time.sleep(seconds)


def noop() -> Workload:
    """1,000 steps that do nothing: 10 layers of 100, two parents each."""
    after: list[tuple[int, ...]] = []
    for layer in range(LAYERS):
        for at in range(WIDTH):
            above = (layer - 1) * WIDTH
            after.append((above + at, above + (at + 1) % WIDTH) if layer else ())
    return Workload("noop", tuple(after), (0.0,) * len(after), "layers")


def read(file: Path) -> Workload:
    """One measured workflow (format: `../shared/execution.md`)."""
    content = json.loads(file.read_text())
    steps = content["steps"]
    return Workload(
        file.stem,
        tuple(tuple(step["after"]) for step in steps),
        tuple(step["s"] for step in steps),
        content["source"],
    )


def generated(count: int = 15, seed: int = 15) -> list[Workload]:
    """Graphs when no measured ones are there: irregular, with run times over four decades."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        size = chance.choice([10, 30, 100, 200])
        after = tuple(
            tuple(
                sorted({chance.randrange(max(0, at - 30), at) for _ in range(chance.randint(0, 3))})
            )
            if at
            else ()
            for at in range(size)
        )
        seconds = tuple(10 ** chance.uniform(-2, 2) for _ in range(size))
        made.append(Workload(f"generated-{number}", after, seconds, f"seed {seed}"))
    return made


# Runners -------------------------------------------------------------------------------------


def ours(work: Workload, workers: int) -> float:
    """Our engine, ordered by the remembered run times."""
    graph, times = work.graph, work.run_times() if any(work.seconds) else {}
    began = time.perf_counter()
    GraphEngine(graph, workers=workers, run_times=times).run()
    return time.perf_counter() - began


def unordered(work: Workload, workers: int) -> float:
    """Our engine without memory: ordered by the number of steps that remain."""
    graph = work.graph
    began = time.perf_counter()
    GraphEngine(graph, workers=workers).run()
    return time.perf_counter() - began


def sequential(work: Workload, workers: int) -> float:
    """A loop."""
    order = list(TopologicalSorter(dict(enumerate(work.after))).static_order())
    began = time.perf_counter()
    for at in order:
        sleep(work.seconds[at])
    return time.perf_counter() - began


def graphlib_threads(work: Workload, workers: int) -> float:
    """graphlib's sorter with a thread pool, first come first served."""
    began = time.perf_counter()
    sorter = TopologicalSorter(dict(enumerate(work.after)))
    sorter.prepare()
    with ThreadPoolExecutor(workers) as pool:
        under_way: dict[Future[None], int] = {}
        while sorter.is_active():
            for at in sorter.get_ready():
                under_way[pool.submit(sleep, work.seconds[at])] = at
            for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                sorter.done(under_way.pop(done))
    return time.perf_counter() - began


def barriers(work: Workload, workers: int) -> float:
    """A thread pool, and a barrier after each level."""
    level = [0] * len(work.after)
    for at in TopologicalSorter(dict(enumerate(work.after))).static_order():
        level[at] = 1 + max((level[parent] for parent in work.after[at]), default=-1)
    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        for one in range(max(level) + 1):
            mine = [work.seconds[at] for at in range(len(level)) if level[at] == one]
            list(pool.map(sleep, mine))
    return time.perf_counter() - began


def dask_threaded(work: Workload, workers: int) -> float:
    """Dask's threaded scheduler."""
    from dask.threaded import get

    tasks = {
        f"s{at}": (_dask_step, one, [f"s{parent}" for parent in parents])
        for at, (one, parents) in enumerate(zip(work.seconds, work.after, strict=True))
    }
    began = time.perf_counter()
    get(tasks, list(tasks), num_workers=workers)
    return time.perf_counter() - began


def _dask_step(seconds: float, parents: Sequence[None]) -> None:
    sleep(seconds)


def threads_by_hand(work: Workload, workers: int) -> float:
    """Counters, a queue and threads: about thirty lines that a good engineer writes."""
    began = time.perf_counter()
    children: list[list[int]] = [[] for _ in work.after]
    for at, parents in enumerate(work.after):
        for parent in parents:
            children[parent].append(at)
    missing = [len(parents) for parents in work.after]
    left, lock = len(missing), Lock()
    ready: SimpleQueue[int | None] = SimpleQueue()
    for at, count in enumerate(missing):
        if not count:
            ready.put(at)

    def loop() -> None:
        nonlocal left
        while (at := ready.get()) is not None:
            sleep(work.seconds[at])
            with lock:
                left -= 1
                for child in children[at]:
                    missing[child] -= 1
                    if not missing[child]:
                        ready.put(child)
                if not left:
                    for _ in range(workers):
                        ready.put(None)

    threads = [Thread(target=loop) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


Runner = Callable[[Workload, int], float]


def on_the_processor(run: Runner) -> Runner:
    """The same by processor time."""

    def measured(work: Workload, workers: int) -> float:
        began = time.process_time()
        run(work, workers)
        return time.process_time() - began

    return measured


PEERS: dict[str, Runner] = {
    "threads by hand": threads_by_hand,
    "graphlib with threads": graphlib_threads,
    "barriers by level": barriers,
    "dask.threaded": dask_threaded,
    "sequential": sequential,
}
