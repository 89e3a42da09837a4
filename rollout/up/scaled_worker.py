"""One worker of a scale test: runs a concurrent path on recorded inputs for as long as it is told.

The commit hook is never called, nothing is recorded, and no queue is used.
"""

import os
import sys
import time
from copy import deepcopy
from typing import Any

from rollout.adapters.envelope import from_json, to_json
from rollout.jobs.interrupts import INTERRUPTS
from rollout.jobs.ports import Job
from rollout.routing.decision import JobPath
from rollout.up.hand import READY
from rollout.up.machine_use import own_use
from rollout.up.subject import Subject, subject_of


def main(module: str, name: str) -> None:
    """Take the inputs, then run slices as told on stdin; what paths print goes to stderr."""
    with os.fdopen(os.dup(1), "w") as line:
        os.dup2(2, 1)
        subject = subject_of(module, name)
        print(READY, file=line, flush=True)
        inputs: list[Any] = []
        for order in sys.stdin:
            what, *given = from_json(order)
            if what == "inputs":
                (inputs,) = given
                continue
            seconds, first = given
            answer = _run_slice(subject, inputs, seconds, first)
            print(to_json(name, "a slice", answer), file=line, flush=True)


def _run_slice(subject: Subject, inputs: list[Any], seconds: float, first: int) -> list[Any]:
    """Run inputs in turn until the time is over; the last job counts by its share before that.

    Returns:
        Jobs, failed ones, seconds in which they ran, CPU seconds, runnable seconds, memory, major
        faults, the longest job's seconds, and the number of the next input.
    """
    jobs, failed, longest, number = 0.0, 0, 0.0, first
    before = own_use()
    began = time.perf_counter()
    ends = began + seconds
    at = began
    while at < ends:
        args, kwargs = inputs[number % len(inputs)]
        number += 1
        failed += not _returned(subject, args, kwargs)
        then, at = at, time.perf_counter()
        longest = max(longest, at - then)
        jobs += 1.0 if at <= ends else (ends - then) / (at - then)
    after = own_use()
    # What the last job used beyond the slice is taken as even over its time.
    share = seconds / max(at - began, 1e-9)
    runnable = None
    if before.runnable_s is not None and after.runnable_s is not None:
        runnable = max(0.0, after.runnable_s - before.runnable_s) * share
    return [
        jobs, failed, seconds, (after.cpu_s - before.cpu_s) * share, runnable, after.memory_bytes,
        after.major_faults - before.major_faults, longest, number,
    ]  # fmt: skip


def _returned(subject: Subject, args: list[Any], kwargs: dict[str, Any]) -> bool:
    job = Job(
        "scale-test", subject.name, "", JobPath.CONCURRENT, 0, tuple(deepcopy(args)),
        deepcopy(kwargs),
    )  # fmt: skip
    try:
        subject.call(job)
    except INTERRUPTS:
        raise
    except BaseException:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
