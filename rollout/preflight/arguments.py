"""Arguments and messages: do they fit the paths, does JSON carry them, are they small enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rollout.errors import KeyMissing, KeyUnusable, RolloutError
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

HEADERS_BYTES = 1_000
"""What headers and properties of a message add to its body; 700 to 1,100 were seen."""
NEAR = 0.8
"""A largest message beyond this share of the limit is told, though it passes."""
TELLS_ARGUMENTS = (
    "give recorded inputs (`--inputs FILE`), a capture of `celery events --dump`, or a ledger"
)

Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]
Weigh = Callable[[tuple[Any, ...], Mapping[str, Any]], int]
"""Bytes of a message's body; raises ArgumentsUnusable when JSON cannot carry it."""
KeyOf = Callable[[tuple[Any, ...], Mapping[str, Any]], str]
"""Routing key; raises TypeError, KeyMissing, KeyUnusable."""


def check_arguments(
    task: TaskFacts, jobs: Sequence[JobFact], weigh: Weigh, key_of: KeyOf
) -> Iterator[Result]:
    """Look for arguments that JSON cannot carry or that do not fit the paths."""
    known = [one for one in jobs if one.arguments is not None]
    unreadable = [one for one in jobs if one.unreadable]
    if unreadable:
        yield Finding(
            Check.ARGUMENTS,
            f"{jobs_text(len(unreadable))} had arguments that JSON cannot carry or that cannot "
            "be read",
            "pass ids, texts and numbers instead of objects; see each example",
            _examples((one.where, one.unreadable) for one in unreadable),
        )
    problems = [(one.where, why) for one in known if (why := _cannot_go(one, weigh, key_of))]
    if problems:
        yield Finding(
            Check.ARGUMENTS,
            f"{jobs_text(len(problems))} of {len(known):,} would be refused for the arguments",
            "change the callers, or the arguments that both paths take",
            _examples(problems),
        )
    untold = len(jobs) - len(known) - len(unreadable)
    if known and untold:
        yield NotChecked(
            Check.ARGUMENTS,
            f"the arguments of {jobs_text(untold)} are not told by their source, or were cut there",
            TELLS_ARGUMENTS,
        )
    if known and not problems and not unreadable:
        yield Passed(Check.ARGUMENTS, f"the arguments of {jobs_text(len(known))} fit both paths")
    if not known and not unreadable:
        yield NotChecked(Check.ARGUMENTS, "no source tells what jobs were given", TELLS_ARGUMENTS)
    if task.serializer not in ("json", ""):
        yield Finding(
            Check.ARGUMENTS,
            f"messages are written as {task.serializer} today, and rollout takes JSON only",
            "set task_serializer to 'json', first at a time when something else breaks by it",
        )


def _cannot_go(job: JobFact, weigh: Weigh, key_of: KeyOf) -> str:
    """Why a job's arguments are refused; "" when they are not. A key is another check's."""
    assert job.args is not None, "only known arguments are asked"
    assert job.kwargs is not None, "only known arguments are asked"
    try:
        weigh(job.args, job.kwargs)
        key_of(job.args, job.kwargs)
    except (KeyMissing, KeyUnusable):
        return ""
    except RolloutError as error:
        return error.problem
    except TypeError as error:
        return f"they do not fit: {error}"
    except Exception as error:  # the team's own function of the key
        return f"the function of the key raised {type(error).__name__}"
    return ""


def check_size(task: TaskFacts, jobs: Sequence[JobFact], weigh: Weigh) -> Iterator[Result]:
    """Look for messages that rollout would refuse."""
    sizes = [(size, one.where) for one in jobs if (size := _size(one, weigh)) is not None]
    if not sizes:
        yield NotChecked(
            Check.SIZE,
            "no source tells how large messages are",
            "record runs with `rollout.audit.record(app)`, or give `--inputs FILE`",
        )
        return
    limit = task.payload_bytes_max
    large = sorted((one for one in sizes if one[0] > limit), reverse=True)
    largest = max(sizes)[0]
    if large:
        yield Finding(
            Check.SIZE,
            f"messages over payload_bytes_max ({limit:,} bytes): {len(large):,} of {len(sizes):,}",
            "pass a reference in place of the data, or raise payload_bytes_max",
            [f"{where}: {size:,} bytes" for size, where in large[:EXAMPLES_MAX]],
        )
        return
    near = ", near it" if largest > NEAR * limit else ""
    yield Passed(
        Check.SIZE,
        f"the largest of {jobs_text(len(sizes), 'message')} has about {largest:,} bytes of "
        f"{limit:,} allowed{near}",
    )


def _size(job: JobFact, weigh: Weigh) -> int | None:
    if job.size_bytes is not None:
        return job.size_bytes
    if job.args is None or job.kwargs is None:
        return None
    try:
        return weigh(job.args, job.kwargs) + HEADERS_BYTES
    except RolloutError:
        return None  # what JSON cannot carry has no size


def _examples(problems: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> list[str]:
    """The first of each different reason, then the first ones."""
    by_reason: dict[str, str] = {}
    for where, why in problems:
        by_reason.setdefault(why, where)
    return [f"{where}: {why}" for why, where in list(by_reason.items())[:EXAMPLES_MAX]]
