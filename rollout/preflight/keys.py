"""Routing keys: is there one for each job, and are there enough of them to take a share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rollout.errors import KeyMissing, KeyUnusable
from rollout.figures import share_text
from rollout.preflight.arguments import TELLS_ARGUMENTS, KeyOf
from rollout.preflight.facts import JobFact, TaskFacts
from rollout.preflight.findings import (
    EXAMPLES_MAX,
    Check,
    Finding,
    NotChecked,
    Passed,
    Result,
    jobs_text,
)

JOBS_MIN = 30
"""Fewer jobs say nothing about how many keys there are."""
KEYS_PER_STEP_MIN = 3.0
"""With fewer keys in the first step, whether any job moves is a matter of luck: one in twenty times
none does, exp(-3)."""


def check_keys(task: TaskFacts, jobs: Sequence[JobFact], key_of: KeyOf) -> Iterator[Result]:
    """Look for jobs without a key, and for keys that are too few for the first step."""
    if not task.key:
        yield Passed(Check.KEYS, "jobs are routed by their own ids, of which each is another")
        return
    known = [one for one in jobs if one.arguments is not None]
    if not known:
        yield NotChecked(Check.KEYS, "no source tells what jobs were given", TELLS_ARGUMENTS)
        return
    keys: Counter[str] = Counter()
    missing: list[str] = []
    for job in known:
        assert job.args is not None, "only known arguments are asked"
        assert job.kwargs is not None, "only known arguments are asked"
        try:
            keys[key_of(job.args, job.kwargs)] += 1
        except KeyMissing:
            missing.append(f"{job.where}: it has none")
        except KeyUnusable:
            missing.append(f"{job.where}: it is no text, whole number or UUID")
        except Exception:
            continue  # its arguments do not fit, which is another check's finding
    if missing:
        yield Finding(
            Check.KEYS,
            f"{jobs_text(len(missing))} of {len(known):,} have no usable key {task.key}",
            "let the callers pass it, or declare a function: key=lambda ...",
            missing[:EXAMPLES_MAX],
        )
    yield from _few(task, keys, missing=bool(missing))


def _few(task: TaskFacts, keys: Counter[str], *, missing: bool) -> Iterator[Result]:
    """Say whether the first step would hold some of the keys."""
    total = keys.total()
    if total < JOBS_MIN:
        if not missing:
            yield NotChecked(
                Check.KEYS,
                f"{jobs_text(total)} with a key cannot say how many keys there are",
                f"give {JOBS_MIN} jobs or more",
            )
        return
    # As many keys of equal weight would give the same share by chance (Simpson's index).
    effective = total**2 / sum(count**2 for count in keys.values())
    expected = effective * task.first_step_bp / 10_000
    largest = max(keys.values()) / total
    step = share_text(task.first_step_bp / 10_000)
    if expected < KEYS_PER_STEP_MIN and len(keys) < total:
        yield Finding(
            Check.KEYS,
            f"key {task.key} has {jobs_text(len(keys), 'value')} in {jobs_text(total)}; the "
            f"largest is {share_text(largest)} of them, and a first step of {step} holds "
            f"{expected:.1f} keys of their size: by luck it moves nothing, or far too much",
            "route by something finer, such as an order's id, or leave key= away",
        )
    elif not missing:
        yield Passed(
            Check.KEYS,
            f"{jobs_text(len(keys), 'value')} of key {task.key} in {jobs_text(total)}, the largest "
            f"is {share_text(largest)} of them",
        )
