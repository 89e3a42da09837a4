"""`python -m tests.simulation --seed N --weeks M`: one seed's history, or many seeds' figures."""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.simulation.run import Result, run
from tests.simulation.unguarded import GUARDS, without


def main() -> int:
    """Run what the arguments ask for; 1 when a promise was broken."""
    given = _arguments()
    with without(given.without):
        if given.seeds is None:
            return _one(given.seed, given.weeks, last=given.last)
        return _many(given.seeds, given.weeks, given.report)


def _one(seed: int, weeks: int, *, last: int | None) -> int:
    result = run(seed, weeks, keep=True)
    shown = result.history[-last:] if last else result.history
    for event in shown:
        print(event)
    for violation in result.violations:
        print(f"BROKEN {violation}")
    print(f"seed {seed}: {result.weeks} weeks, {result.jobs} jobs, {result.events} events")
    return 1 if result.violations else 0


def _many(seeds: int, weeks: int, report: Path) -> int:
    began = time.monotonic()
    results = []
    for seed in range(1, seeds + 1):
        results.append(run(seed, weeks))
        if results[-1].violations:
            print(replay(results[-1]))
    figures = summary(results, time.monotonic() - began)
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    return 1 if figures["violations"] else 0


def replay(result: Result) -> str:
    """How to see a failing seed again, and what was broken."""
    command = f"python -m tests.simulation --seed {result.seed} --weeks {result.weeks}"
    return "\n".join([f"replay: {command}", *map(str, result.violations)])


def summary(results: list[Result], seconds: float) -> dict[str, object]:
    """The figures of a report."""
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result.counts)
    weeks = sum(result.weeks for result in results)
    return {
        "seeds": len(results),
        "weeks": weeks,
        "seconds": round(seconds, 1),
        "weeks_per_minute": round(60 * weeks / seconds),
        "jobs": sum(result.jobs for result in results),
        "events": sum(result.events for result in results),
        "violations": sum(len(result.violations) for result in results),
        "by_event": dict(counts.most_common()),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the seed whose history is printed")
    parser.add_argument("--weeks", type=int, default=50, help="weeks of each seed")
    parser.add_argument("--last", type=int, help="print only so many lines of the history")
    parser.add_argument("--seeds", type=int, help="run seeds 1 to N and print figures only")
    parser.add_argument("--without", choices=sorted(GUARDS), help="take a guard out")
    parser.add_argument("--report", type=Path, default=Path("reports/simulation.json"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
