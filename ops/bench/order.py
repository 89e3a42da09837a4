"""What `order="key"` costs: 100 keys, eight processes, jobs of 20 ms, beside the same without it.

    python -m ops.bench.order

Jobs are published while the worker does not listen; the rate is that of the ends from the fortieth
job on. Both sub-pipelines take turns on one worker.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from ops.bench.servers import LEDGERS, Servers, end, send_all_to_concurrent, servers
from rollout import JobPath

KEYS, JOBS, ROUNDS, WARM_UP = 100, 600, 3, 40
TIMEOUT_S = 120


def measure(found: Servers, ledger: str) -> dict[str, float]:
    """Jobs per second by kind: medians over the rounds."""
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
    for name in order_jobs.PIPELINES:
        send_all_to_concurrent(runtime, name)
    rates: dict[str, list[float]] = {name: [] for name in order_jobs.PIPELINES}
    with _worker(found, variables) as node:
        deadline = time.monotonic() + TIMEOUT_S
        while not order_jobs.app.control.ping(destination=[node], timeout=0.5):
            assert time.monotonic() < deadline, "no worker"
        for _ in range(ROUNDS):
            for name, pipeline in order_jobs.PIPELINES.items():
                runtime.control.beat("bench", runtime.settings.supervision * 100)
                pipeline.submit_many({"customer": number % KEYS} for number in range(JOBS))
                rates[name].append(_rate(node, name, stamps))
    runtime.close()
    return {name: median(values) for name, values in rates.items()}


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
def _worker(found: Servers, variables: dict[str, str]) -> Iterator[str]:
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
            yield node
        except BaseException:
            print(log.read_text()[-4000:], file=sys.stderr)
            raise
        finally:
            end(process)


def ratios() -> dict[str, tuple[float, dict[str, float]]]:
    """By ledger: ordered over loose, and jobs per second of both.

    The second ledger is measured in a process of its own: the app is declared with the first.
    """
    with servers() as found:
        rates = {}
        for ledger in LEDGERS:
            done = subprocess.run(
                [sys.executable, "-m", "ops.bench.order", ledger, found.redis_url,
                 found.ledger_urls[ledger], str(found.folder)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            loose, ordered = (float(word) for word in done.stdout.split()[-2:])
            rates[ledger] = (ordered / loose, {"loose": loose, "ordered": ordered})
    return rates


if __name__ == "__main__":
    if len(sys.argv) == 1:
        for ledger_, (ratio_, rates_) in ratios().items():
            print(ledger_, round(ratio_, 3), rates_)
    else:
        _, ledger_, redis_, url_, folder_ = sys.argv
        got = measure(Servers(redis_, {ledger_: url_}, Path(folder_)), ledger_)
        print(got["loose"], got["ordered"])
