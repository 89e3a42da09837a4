"""A kill of a sub-pipeline with a very long queue, from the shell, while another one works.

`python -m ops.bench.long_queue --jobs 1000000 --ledger postgresql` needs ten minutes and 5 GB.
It says when each half of the kill was printed, how long no controller was heard of, whether anybody
else's jobs left their path, and whether a kill that is interrupted and repeated misses a job.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from ops.bench.servers import LEDGERS, Servers, end, servers

_BATCH = 2_000
_OTHERS_PAUSE_S = 0.1
_LOOK_PAUSE_S = 0.1
_MOVES_S = 10.0
"""So long a kill may move jobs before it is interrupted."""
_HALVES = ("starts blocked", "commits fenced")
_OPEN = ("accepted", "started")


@dataclass(slots=True)
class Watched:
    """What was seen while the kills ran."""

    looks: int = 0
    silent: int = 0
    submitted: list[str] = field(default_factory=list)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--ledger", choices=LEDGERS, default="postgresql")
    given = parser.parse_args()
    with servers() as found:
        print(json.dumps(measure(found, given.ledger, given.jobs), indent=2))


def measure(found: Servers, ledger: str, jobs: int) -> dict[str, Any]:
    """Fill the queue, kill, interrupt, kill again, and count. Times in seconds."""
    url = found.ledger_urls[ledger]
    os.environ |= {
        "LONG_QUEUE_REDIS": found.redis_url,
        "LONG_QUEUE_LEDGER": url,
        "ROLLOUT_LEDGER_URL": url,
        "ROLLOUT_BROKER_URL": found.redis_url,
        "ROLLOUT_CONTROL_URL": found.redis_url,
        "ROLLOUT_METRICS_PORT": "0",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    from ops.bench import long_queue_app as app  # it reads the variables

    for pipeline in (app.OTHER, app.LONG):
        pipeline.delay(number=0)
    with ExitStack() as stack:
        stack.enter_context(_process(found.folder, "controller", "-m", "rollout", "controller"))
        queues = "other.legacy,other.concurrent,long.legacy,long.concurrent"
        listens = ("-m", "celery", "-A", "ops.bench.long_queue_app", "worker", "-c", "1")
        first = stack.enter_context(_process(found.folder, "worker", *listens, "-Q", queues))
        _wait_for(lambda: _open_jobs(app.runtime) == 0)
        end(first)
        stack.enter_context(_process(found.folder, "other", *listens, "-Q", queues[:29]))
        for name in ("long", "other"):
            _rollout(found.folder, "start", name)
            _rollout(found.folder, "scope", name, "9500", "--reason", "bench")
        began = time.perf_counter()
        for start in range(0, jobs, _BATCH):
            rows = ({"number": start + more} for more in range(min(_BATCH, jobs - start)))
            app.LONG.submit_many(rows)
        filled_s = time.perf_counter() - began
        watched = Watched()
        kills = []
        kills_began = time.perf_counter()
        with _watching(app, watched):
            time.sleep(3)
            kills = [_kill(found.folder) for _ in range(2)]
            time.sleep(3)
        lasted_s = time.perf_counter() - kills_began
        load = os.getloadavg()[0]
        kept = _open_jobs(app.runtime, "long")
        reasons = _reasons(app.runtime, watched.submitted)
    return {
        "ledger": ledger,
        "queued": jobs,
        "filled_s": round(filled_s, 1),
        "load": round(load, 1),
        "kills": kills,
        "without_heartbeat_s": round(watched.silent / max(watched.looks, 1) * lasted_s, 1),
        "watched_s": round(lasted_s, 1),
        "others_jobs": len(watched.submitted),
        "others_reasons": reasons,
        "jobs_missing": jobs - kept,
    }


def _kill(folder: Path) -> dict[str, Any]:
    """One kill, interrupted as with ctrl-C when it has moved jobs for a while."""
    began = time.perf_counter()
    printed: dict[str, float] = {}
    with subprocess.Popen(
        [sys.executable, "-m", "rollout", "kill", "long", "--reason", "long queue"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None, "it was opened with one"
        lines: list[str] = []
        Thread(target=_interrupt, args=(process,), daemon=True).start()
        for line in process.stdout:
            lines.append(line.rstrip())
            for half in _HALVES:
                if half in line and half not in printed:
                    printed[half] = round(time.perf_counter() - began, 2)
    return {
        "printed_after_s": printed,
        "ended_after_s": round(time.perf_counter() - began, 1),
        "exit": process.returncode,
        "last_words": lines[-1] if lines else "",
    }


def _interrupt(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(_MOVES_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)


@contextmanager
def _watching(app: Any, watched: Watched) -> Iterator[None]:
    """Submit for the other sub-pipeline, and look whether a controller is heard of."""
    ended = Event()

    def submit() -> None:
        number = 1
        while not ended.wait(_OTHERS_PAUSE_S):
            watched.submitted.append(app.OTHER.delay(number=number).id)
            number += 1

    def look() -> None:
        while not ended.wait(_LOOK_PAUSE_S):
            watched.looks += 1
            watched.silent += not app.runtime.control.read("other").supervised

    threads = [Thread(target=submit), Thread(target=look)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _open_jobs(runtime: Any, name: str | None = None) -> int:
    named = "" if name is None else f" AND name = '{name}'"
    with runtime.database.read() as connection:
        asked = f"SELECT count(*) FROM job WHERE state IN {_OPEN}{named}"
        return int(connection.exec_driver_sql(asked).scalar_one())


def _reasons(runtime: Any, jobs: list[str]) -> dict[str, int]:
    """Of the other's jobs: how many each reason sent where it went."""
    with runtime.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT job_id, reason FROM job WHERE name = 'other'")
        reasons = {row[0]: str(row[1]) for row in rows}
    return dict(Counter(reasons.get(job, "unfiled") for job in jobs))


def _rollout(folder: Path, *words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "rollout", *words], cwd=folder, check=True, capture_output=True
    )


@contextmanager
def _process(folder: Path, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output is in the folder; ended with the block."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            end(process)


def _wait_for(condition: Any, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds} s: the first jobs are not done")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
