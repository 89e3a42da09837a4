"""`python -m tests.crash`: runs of one or many seeds, one report, exit code 1 on any violation."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from tests.crash.checker import check
from tests.crash.figures import Sums, resumed, save, table
from tests.crash.previous import last_release
from tests.crash.run import SHARING, Order, run
from tests.crash.unguarded import GUARDS
from tests.crash.wholeness import gaps

SHORT_SEEDS = "1-2"
_SHORT_JOBS = 1200
_SHORT_FAULTS = 19


def main() -> int:
    """Run what the arguments ask for."""
    given = _arguments()
    signal.signal(signal.SIGTERM, _stop)
    sums = resumed(given.report) if given.resume else Sums()
    previous = given.previous or last_release()
    for seed in _seeds(given.seeds):
        if seed in sums.seeds:
            continue
        ledger = given.ledger or ("postgresql", "sqlite")[seed % 2]
        deadline_s = given.deadline or 210 + given.jobs / 20 + 5 * given.faults
        only = frozenset(given.only.split(";")) if given.only else frozenset()
        order = Order(
            seed, given.jobs, given.faults, ledger, deadline_s, given.without, only, given.long,
            previous, given.seconds, given.broker, given.pooled, given.store,
            given.sharing,
        )  # fmt: skip
        folder = Path(tempfile.mkdtemp(prefix=f"crash-{seed}-"))
        bad = _one(order, folder, sums)
        save(sums, given.report)
        if bad and given.first:
            break
        if not bad and not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    report = save(sums, given.report)
    print(table(report))
    print(f"report {given.report}")
    return 1 if report["violations"] else 0


def _repeats(order: Order) -> str:
    """Arguments that repeat a run at its plant."""
    words = [f"--seeds {order.seed} --jobs {order.jobs} --faults {order.faults}"]
    words += [f"--ledger {order.ledger} --broker {order.broker} --store {order.store}"]
    words += ["--pooled"] if order.pooled else []
    words += [f"--without {order.without}"] if order.without else []
    words += [f'--only "{";".join(sorted(order.only))}"'] if order.only else []
    return " ".join(words)


def _one(order: Order, folder: Path, sums: Sums) -> bool:
    """Run one seed and say what came of it; True when it broke a promise."""
    print(
        f"seed {order.seed}: {order.jobs} jobs, {order.faults} faults, {order.ledger}", flush=True
    )
    result = run(order, folder)
    found = check(result.evidence)
    found += gaps(
        result.evidence.events,
        order.jobs,
        order.faults,
        came_to_rest=result.came_to_rest,
        cut_short=order.rest_after_s is not None,
    )
    sums.add(result, found)
    if found:
        print(f"FAILED: python -m tests.crash {_repeats(order)}")
        print(f"kept: {folder}")
        (folder / "violations.json").write_text(json.dumps([asdict(v) for v in found], indent=1))
        for one in found[:20]:
            print(f"  {one.kind}: {one.job} {one.said}")
    else:
        print(f"seed {order.seed}: good, {result.seconds:.0f} s", flush=True)
    return bool(found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seeds", default=SHORT_SEEDS, help="one seed, or 1-20, or 3,5,8")
    parser.add_argument("--jobs", type=int, default=_SHORT_JOBS, help="jobs of each run")
    parser.add_argument("--faults", type=int, default=_SHORT_FAULTS, help="faults of each run")
    parser.add_argument("--ledger", choices=("sqlite", "postgresql"), help="else by the seed")
    parser.add_argument(
        "--broker", choices=("valkey", "rabbitmq"), default="valkey", help="rabbitmq: Debian's"
    )
    parser.add_argument(
        "--pooled", action="store_true", help="Debian's pgbouncer before PostgreSQL"
    )
    parser.add_argument(
        "--store", choices=("valkey", "sentinel"), default="valkey", help="sentinel: Debian's"
    )
    parser.add_argument("--deadline", type=float, help="seconds for each run")
    parser.add_argument("--seconds", type=float, help="begin no more after so long in each run")
    parser.add_argument("--without", choices=GUARDS, help="take a guard out; the run has to fail")
    parser.add_argument("--only", help="kinds of fault, as the table names them, with semicolons")
    parser.add_argument("--long", type=float, default=0.1, help="share of jobs of 0.1-0.5 s")
    parser.add_argument(
        "--sharing", type=float, default=SHARING, help="share of submissions that take turns"
    )
    parser.add_argument("--keep", action="store_true", help="keep good runs' folders, too")
    parser.add_argument("--first", action="store_true", help="end after the first failing run")
    parser.add_argument("--resume", action="store_true", help="add the seeds the report lacks")
    parser.add_argument(
        "--previous", help="git revision that one more worker runs; else the last release, if any"
    )
    parser.add_argument("--report", type=Path, default=Path("reports/crash.json"))
    return parser.parse_args()


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def _stop(number: int, frame: FrameType | None) -> None:
    """End by the ordinary way out, so that `finally` kills every process."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
