"""A producer process: submits jobs at its rate until its share is submitted, whatever happens.

Then it stays for what the driver asks for, poison jobs and long queues, until it is told that it is
enough: a fault may come late, and it needs somebody who submits.

Started again after a `kill -9` it reads its own history and goes on where it was, as a producer
does that keeps its place in a table. What it could not submit it was told of, and tries again.
"""

import os
import random
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.crash.app import history, notes, parts, shares, turns, wires
from tests.crash.callers import submit_awaited
from tests.crash.history import ENOUGH, TWIN, label, read_file, share_done

_BATCH = (5, 40)
_WIRES, _TWINS = 0.05, 0.05
"""Shares of submissions; most others are batches, so that of jobs it is a few in a thousand."""
_ASKS = 0.05
_KEYS = 5
"""Keys of each producer: the order of two producers' jobs is nobody's promise."""
_WHAT = {
    "hook swallows": 0.003,
    "hook fails": 0.006,
    "hook fails on both": 0.008,
    "fails on both": 0.018,
    "fails": 0.05,
}
"""What goes wrong with a job: shares, each added to those before it."""
_OUTLIVES_SILENCE = 0.002
"""Share of jobs that run longer than `silent_after_s` of the plant."""


def draw_job(rng: random.Random, long_share: float) -> dict[str, Any]:
    """One job's arguments: mostly no work at all, some of a few milliseconds, few that fail."""
    dice = rng.random()
    what = "ok"
    for kind, below in _WHAT.items():
        if dice < below:
            what = kind
            break
    seconds = 0.0 if rng.random() < 0.6 else round(rng.uniform(0, 0.005), 4)
    if rng.random() < long_share:  # to be caught by a kill or a stop while it runs
        seconds = round(rng.uniform(0.1, 0.5), 3)
    if rng.random() < _OUTLIVES_SILENCE:  # longer than a worker may be silent: it has to renew
        seconds = 5.5
    return {"part": rng.randrange(100_000), "what": what, "seconds": seconds}


def main(who: str, seed: int, share: int, per_s: float, long_share: float, sharing: float) -> None:
    """Submit `share` jobs; `sharing` is the share of submissions that wait for each other."""
    folder = Path(os.environ["CRASH_HISTORY"])
    flags = Path(os.environ["CRASH_FLAGS"])
    done = 0
    for path in folder.glob(f"{who}-*.jsonl"):
        done += sum(
            len(one["jobs"])
            for one in read_file(path)
            if one["what"] == "submitted" and "poison" not in one
        )
    rng = random.Random(f"{seed} {who} {done}")
    while not (flags / ENOUGH).exists():
        _submit_poison(flags / f"poison-{who}")
        _submit_burst(flags / f"burst-{who}", rng)
        if done >= share:
            share_done(flags, who).touch()
        # Back-pressure: the driver sees too many open jobs.
        if done >= share or (flags / "pause").exists():
            time.sleep(0.1)
            continue
        began = time.monotonic()
        done += (count := _submit(rng, share - done, long_share, sharing))
        time.sleep(max(0.0, max(count, 1) / per_s - (time.monotonic() - began)))


def _submit_poison(flag: Path) -> None:
    """Submit the job that the driver asks for, beyond the share."""
    if not flag.exists():
        return
    what = flag.read_text()
    flag.unlink()
    try:
        if what.startswith("wire "):
            seconds = float(what.split()[1])
            for _ in range(2):
                result = wires.delay(part=1, seconds=seconds)
                history.write("submitted", name="wires", jobs=[result.id], poison=what)
            return
        result = parts.delay(part=1, what=what, seconds=0.0)
    except Exception as error:  # told of it: nothing was submitted
        history.write("submit failed", why=str(error)[:300])
    else:
        history.write("submitted", name="parts", jobs=[result.id], poison=what)


def _submit_burst(flag: Path, rng: random.Random) -> None:
    """Submit a long queue at once, beyond the share: a kill meets it."""
    if not flag.exists():
        return
    left = int(flag.read_text())
    while left > 0:
        jobs = [draw_job(rng, 0.0) | {"seconds": 0.0} for _ in range(min(left, 500))]
        try:
            ids = [result.id for result in parts.submit_many(jobs)]
        except Exception as error:  # told of it: nothing was submitted
            history.write("submit failed", why=f"{type(error).__name__}: {error}"[:300])
            return  # the rest is submitted at the next turn
        history.write("submitted", name="parts", jobs=ids, poison="burst")
        left -= len(jobs)
        flag.write_text(str(left))
    flag.unlink()


def _submit(rng: random.Random, left: int, long_share: float, sharing: float) -> int:
    if (dice := rng.random()) < _WIRES:
        return _submit_wire(rng)
    if dice < _WIRES + _TWINS:
        return _submit_twins(rng, long_share)
    if dice < _WIRES + _TWINS + _ASKS:
        return _submit_awaited(rng, long_share)
    if dice < _WIRES + _TWINS + _ASKS + sharing:
        return _submit_sharing(rng, min(left, rng.randint(1, 8)), long_share)
    pipeline, name = (parts, "parts") if rng.random() < 0.85 else (notes, "notes")
    try:
        if rng.random() < 0.5:
            jobs = [draw_job(rng, long_share) for _ in range(min(left, rng.randint(*_BATCH)))]
            ids = [result.id for result in pipeline.submit_many(jobs)]
        else:
            ids = [pipeline.delay(**draw_job(rng, long_share)).id]
    except Exception as error:  # told of it: nothing was submitted, and the producer goes on
        history.write("submit failed", why=f"{type(error).__name__}: {error}"[:300])
        return 0
    history.write("submitted", name=name, jobs=ids)
    return len(ids)


def _submit_sharing(rng: random.Random, jobs: int, long_share: float) -> int:
    """Submit jobs that take of one resource; of half of them those of one key, in an order."""
    drawn = [draw_job(rng, long_share) for _ in range(jobs)]
    drawn = [{**one, "seconds": max(0.02, one["seconds"])} for one in drawn]
    facts = {}
    pipeline = shares
    if rng.random() < 0.5:
        who = os.environ["CRASH_ROLE"]
        part = 1_000_000 * (1 + sum(who.encode())) + rng.randrange(_KEYS)
        pipeline, facts = turns, {"key": f"turns {part}"}
        drawn = [{**one, "part": part} for one in drawn]
    try:
        ids = [result.id for result in pipeline.submit_many(drawn)]
    except Exception as error:  # told of it: nothing was submitted
        history.write("submit failed", why=f"{type(error).__name__}: {error}"[:300])
        return 0
    history.write("submitted", name=pipeline.declared.name, jobs=ids, **facts)
    return len(ids)


def _submit_wire(rng: random.Random) -> int:
    """Submit a job that nobody may repeat, and that outlives a worker's silence."""
    seconds = round(rng.uniform(4.5, 8.0), 2)
    try:
        result = wires.delay(part=rng.randrange(100_000), seconds=seconds)
    except Exception as error:
        history.write("submit failed", why=f"{type(error).__name__}: {error}"[:300])
        return 0
    history.write("submitted", name="wires", jobs=[result.id])
    return 1


def _submit_awaited(rng: random.Random, long_share: float) -> int:
    """Submit what a caller waits for."""

    def draw() -> dict[str, Any]:
        drawn = draw_job(rng, long_share)
        return {"part": drawn["part"], "seconds": drawn["seconds"]}

    try:
        return len(submit_awaited(rng, draw))
    except Exception as error:
        history.write("submit failed", why=f"{type(error).__name__}: {error}"[:300])
        return 0


def _submit_twins(rng: random.Random, long_share: float) -> int:
    """Submit one id to two sub-pipelines."""
    task_id, done = f"{TWIN}{uuid4()}", 0
    for pipeline in (parts, notes):
        try:
            pipeline.apply_async(kwargs=draw_job(rng, long_share), task_id=task_id)
        except Exception as error:
            history.write("submit failed", why=f"{type(error).__name__}: {error}"[:300])
            continue
        history.write(
            "submitted", name=pipeline.declared.name, jobs=[label(pipeline.declared.name, task_id)]
        )
        done += 1
    return done


if __name__ == "__main__":
    who, seed, share, *others = sys.argv[1:]
    main(who, int(seed), int(share), *(float(one) for one in others))
