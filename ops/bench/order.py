"""What `order="key"` costs: 100 keys, eight processes, jobs of 20 ms, beside the same without it.

    python -m ops.bench.order

Jobs are published while the worker does not listen; the rate is that of the ends from the fortieth
job on. Both sub-pipelines take turns on one worker, in short rounds of which every second one
begins with the other: a ratio is that of two neighbours, so that what else the machine does slows
both. The processor's time of worker and database is counted beside it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psutil

from ops.bench.cpu import postmaster, spent_us
from ops.bench.servers import LEDGERS, Servers, end, send_all_to_concurrent, servers
from rollout import JobPath

KEYS, JOBS, ROUNDS, WARM_UP = 100, 300, 8, 40
TIMEOUT_S = 120
KINDS = ("loose", "ordered")


@dataclass(frozen=True, slots=True)
class Kind:
    """Jobs with or without an order: ends per second, and processor time of each, medians."""

    jobs_per_s: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What an order costs on one ledger; ratios are medians of those of neighbouring rounds."""

    loose: Kind
    ordered: Kind
    throughput_ratio: float
    cpu_ratio: float


def measure(found: Servers, ledger: str) -> Cost:
    """Take turns, and compare; a first round of each is not counted."""
    stamps = found.folder / f"stamps-{ledger}"
    stamps.touch()
    variables = {
        "BENCH_REDIS": found.redis_url,
        "BENCH_LEDGER": found.ledger_urls[ledger],
        "BENCH_STAMPS": str(stamps),
    }
    os.environ.update(variables)
    from ops.bench import order_jobs

    runtime = found.runtime(ledger)
    for name in KINDS:
        send_all_to_concurrent(runtime, name)
    rates: dict[str, list[float]] = {name: [] for name in KINDS}
    costs: dict[str, list[float]] = {name: [] for name in KINDS}
    with _worker(found, variables) as (node, worker):
        deadline = time.monotonic() + TIMEOUT_S
        while not order_jobs.app.control.ping(destination=[node], timeout=0.5):
            assert time.monotonic() < deadline, "no worker"
        busy = [worker, *([found.processes["postgresql"]] if ledger != "sqlite" else [])]
        for turn in range(-1, ROUNDS):
            for name in KINDS if turn % 2 else reversed(KINDS):
                runtime.control.beat("bench", runtime.settings.supervision * 100)
                arguments = [{"customer": number % KEYS} for number in range(JOBS)]
                order_jobs.PIPELINES[name].submit_many(arguments)
                before = sum(spent_us(one) for one in busy)
                rate = _rate(node, name, stamps)
                if turn >= 0:
                    rates[name].append(rate)
                    costs[name].append((sum(spent_us(one) for one in busy) - before) / JOBS)
    runtime.close()
    loose, ordered = (Kind(median(rates[name]), median(costs[name])) for name in KINDS)
    return Cost(
        loose,
        ordered,
        median(two / one for one, two in zip(*(rates[name] for name in KINDS), strict=True)),
        median(two / one for one, two in zip(*(costs[name] for name in KINDS), strict=True)),
    )


def _rate(node: str, name: str, stamps: Path) -> float:
    from ops.bench import order_jobs

    stamps.write_bytes(b"")
    queues = [f"{name}.{path}" for path in JobPath]
    control = order_jobs.app.control
    for queue in queues:
        control.add_consumer(queue, destination=[node], reply=True)
    deadline = time.monotonic() + TIMEOUT_S
    size = JOBS * order_jobs.STAMP.size
    while stamps.stat().st_size < size:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name}: {stamps.stat().st_size // order_jobs.STAMP.size} jobs ran")
        time.sleep(0.1)
    for queue in queues:
        control.cancel_consumer(queue, destination=[node], reply=True)
    ends = sorted(end for _, end in order_jobs.STAMP.iter_unpack(stamps.read_bytes()))
    return float((len(ends) - WARM_UP) / (ends[-1] - ends[WARM_UP]))


@contextmanager
def _worker(found: Servers, variables: dict[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    node = f"order-{os.getpid()}@localhost"
    command = [sys.executable, "-m", "celery", "-A", "ops.bench.order_jobs", "worker", "-n", node]
    command += ["-Q", "idle", "-P", "prefork", "-c", "8", "--prefetch-multiplier", "1"]
    command += ["--without-gossip", "--without-mingle", "-l", "WARNING"]
    log = found.folder / "order.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **variables}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield node, psutil.Process(process.pid)
        except BaseException:
            print(log.read_text()[-4000:], file=sys.stderr)
            raise
        finally:
            end(process)


def costs() -> dict[str, Cost]:
    """By ledger. Each is measured in a process of its own: the app is declared with its ledger."""
    with servers() as found:
        costs = {}
        for ledger in LEDGERS:
            done = subprocess.run(
                [sys.executable, "-m", "ops.bench.order", ledger, found.redis_url,
                 found.ledger_urls[ledger], str(found.folder)],
                check=True, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            told = json.loads(done.stdout.splitlines()[-1])
            loose, ordered = (Kind(**told[name]) for name in KINDS)
            costs[ledger] = Cost(loose, ordered, told["throughput_ratio"], told["cpu_ratio"])
    return costs


if __name__ == "__main__":
    if len(sys.argv) == 1:
        for ledger_, cost_ in costs().items():
            print(ledger_, cost_)
    else:
        _, ledger_, redis_, url_, folder_ = sys.argv
        database_ = Path(folder_) / "postgresql"
        there_ = Servers(
            redis_, {ledger_: url_}, Path(folder_), {"postgresql": postmaster(database_)}
        )
        print(json.dumps(asdict(measure(there_, ledger_))))
