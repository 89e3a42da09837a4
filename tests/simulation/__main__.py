"""`python -m tests.simulation`: one seed's history with `--seed`, or many seeds' figures."""

import argparse
import json
import sys
from pathlib import Path

from tests.simulation.many import run_here, run_many, save
from tests.simulation.run import run
from tests.simulation.unguarded import GUARDS, without


def main() -> int:
    """Run what the arguments ask for; 1 when a promise was broken."""
    given = _arguments()
    if given.seed is not None:
        with without(given.without):
            return _one(given.seed, given.weeks, last=given.last)
    seeds = _seeds(given.seeds)
    if given.lines:
        run_here(seeds, given.weeks)
        return 0
    summaries, found = run_many(seeds, given.weeks)
    for one in summaries:
        if one.broken:
            print(one.replay)
    save(found, given.report)
    print(json.dumps(found, indent=1))
    return 1 if found["violations"] else 0


def _one(seed: int, weeks: int, *, last: int | None) -> int:
    result = run(seed, weeks, keep=True)
    for event in result.history[-last:] if last else result.history:
        print(event)
    for violation in result.violations:
        print(f"BROKEN {violation}")
    print(f"seed {seed}: {result.weeks} weeks, {result.jobs} jobs, {result.events} events")
    return 1 if result.violations else 0


def _seeds(text: str) -> list[int]:
    """Read `7`, `1-200` or `3,5,8`."""
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="print the history of this seed")
    parser.add_argument("--weeks", type=int, default=50, help="weeks of each seed")
    parser.add_argument("--last", type=int, help="print only the last lines of the history")
    parser.add_argument("--without", choices=sorted(GUARDS), help="take a guard out of one seed")
    parser.add_argument("--seeds", default="1-200", help="run these seeds and print figures only")
    parser.add_argument("--lines", action="store_true", help="in this process, a line for each")
    parser.add_argument("--report", type=Path, default=Path("reports/simulation.json"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
