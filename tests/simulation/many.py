"""Many seeds on all cores, and the figures of what they showed."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.simulation.run import Result, run


@dataclass(frozen=True)
class Summary:
    """What is left of one seed's run."""

    seed: int
    weeks: int
    jobs: int
    events: int
    counts: dict[str, int]
    broken: list[str]

    @property
    def replay(self) -> str:
        """How to see a failing seed again, and what was broken."""
        command = f"python -m tests.simulation --seed {self.seed} --weeks {self.weeks}"
        return "\n".join([f"replay: {command}", *self.broken])


def summary(result: Result) -> Summary:
    """Leave the history out."""
    broken = [str(one) for one in result.violations]
    return Summary(result.seed, result.weeks, result.jobs, result.events, result.counts, broken)


def run_here(seeds: Sequence[int], weeks: int) -> None:
    """Run seeds in this process and print a line of JSON for each."""
    for seed in seeds:
        print(json.dumps(asdict(summary(run(seed, weeks)))), flush=True)


def run_many(seeds: Sequence[int], weeks: int) -> tuple[list[Summary], dict[str, object]]:
    """Run each seed for so many weeks, as many at a time as there are cores.

    Returns:
        Summaries in order of the seeds, and the figures of a report.
    """
    began = time.monotonic()
    cores = os.cpu_count() or 1
    shares = [seeds[number::cores] for number in range(cores)]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.simulation", "--weeks", str(weeks), "--lines",
             "--seeds", ",".join(map(str, share))],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )
        for share in shares if share
    ]  # fmt: skip
    try:
        texts = [child.communicate()[0] for child in started]
    finally:
        for child in started:
            child.kill()
            child.wait()
    found = [Summary(**json.loads(line)) for text in texts for line in text.splitlines()]
    assert len(found) == len(seeds), "a seed ended with an error; it is printed above"
    found.sort(key=lambda one: one.seed)
    return found, figures(found, time.monotonic() - began)


def figures(found: Sequence[Summary], seconds: float) -> dict[str, object]:
    """The figures of a report."""
    counts: Counter[str] = Counter()
    for one in found:
        counts.update(one.counts)
    weeks = sum(one.weeks for one in found)
    return {
        "seeds": len(found),
        "weeks": weeks,
        "seconds": round(seconds, 1),
        "weeks_per_minute": round(60 * weeks / seconds),
        "jobs": sum(one.jobs for one in found),
        "faults": counts["fault"],
        "events": sum(one.events for one in found),
        "violations": sum(len(one.broken) for one in found),
        "by_event": dict(counts.most_common()),
    }


def save(found: dict[str, object], report: Path) -> None:
    """Write the figures of a run."""
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
