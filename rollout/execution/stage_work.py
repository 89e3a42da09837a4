"""What crosses to where a stage runs: one batch, and back what became of its records."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from rollout.execution.errors import ExecutionError
from rollout.execution.running import current


class WrongBatch(ExecutionError):
    """A stage gave back something that is no list of records."""


Answer = tuple[list[Any], list[tuple[int | None, Any, str]], float]
"""Records for the next stage; index, payload and reason of each corrupt one; seconds of the work.

The payload is None where the index says which record it is: it does not cross twice.
"""


def work_batch(
    work: Callable[..., Any],
    records: Sequence[Any],
    each: bool,
    corrupt: Sequence[type[Exception]],
) -> Answer:
    """Take one batch through a stage's work.

    Raises:
        WrongBatch: A stage of whole batches gave no list.
        Exception: What the work raised: the batch failed.
    """
    began = time.perf_counter()
    if each:
        given, rejected = _one_by_one(work, records, tuple(corrupt))
    else:
        given, rejected = _at_once(work, records)
    return given, rejected, time.perf_counter() - began


def _one_by_one(
    work: Callable[..., Any], records: Sequence[Any], corrupt: tuple[type[Exception], ...]
) -> tuple[list[Any], list[tuple[int | None, Any, str]]]:
    given: list[Any] = []
    rejected: list[tuple[int | None, Any, str]] = []
    for index, record in enumerate(records):
        try:
            given.append(work(record))
        except corrupt as error:
            if means_the_whole(error):
                raise
            rejected.append((index, None, f"{type(error).__name__}: {error}"))
    return given, rejected


def means_the_whole(error: Exception) -> bool:
    """Whether it was thrown in from outside: a job's soft time limit is no step's or record's."""
    return type(error).__name__ == "SoftTimeLimitExceeded"  # Celery's; this room does not know it


def _at_once(
    work: Callable[..., Any], records: Sequence[Any]
) -> tuple[list[Any], list[tuple[int | None, Any, str]]]:
    came = work(records)
    if isinstance(came, str | bytes | dict) or not hasattr(came, "__iter__"):
        raise WrongBatch(
            f"the work of a stage must give the list of records that go on, got {came!r:.80}",
            "return a list, or declare the stage with each=True",
        )
    running = current()
    rejected: list[tuple[int | None, Any, str]] = []
    used: set[int] = set()
    for record, reason in (running.rejected if running is not None else None) or ():
        # By identity, for equal records may be in a batch twice and only one of them be meant;
        # each place once, for two records may be the same object.
        places = (at for at, one in enumerate(records) if one is record and at not in used)
        index = next(places, None)
        if index is not None:
            used.add(index)
        rejected.append((index, record if index is None else None, reason))
    return list(came), rejected
