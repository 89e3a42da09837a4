"""What an input cannot tell, and what would tell it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rollout.audit.contention import Answer
from rollout.audit.measured import Measured

OVERLAP = "who waits, how many run at once and whether they slow each other down"
_RECORDER = "rollout.audit.record(app)"


@dataclass(frozen=True, slots=True)
class Lack:
    """One question that stays open.

    Attributes:
        what: The question.
        because: What the input does not have.
        tells: What would tell it.
    """

    what: str
    because: str
    tells: str


def lacks_of(measured: Measured) -> list[Lack]:
    """Everything that this input cannot tell."""
    log = measured.log
    worker_log = any(one.kind == "worker log" for one in log.captures)
    known = {one: log.known(one) for one in ("queued", "started", "ended", "cpu", "size")}
    return [
        *_of_times(measured, known, worker_log=worker_log),
        *_of_columns(measured, known),
        *_of_load(measured),
        *_of_ends(known, worker_log=worker_log),
    ]


def _of_times(
    measured: Measured, known: Mapping[str, float], *, worker_log: bool
) -> Iterator[Lack]:
    """What needs the times at which a job was queued and began."""
    if measured.doubt is not None:
        yield Lack(OVERLAP, measured.doubt.because, measured.doubt.tells)
    if known["ended"] and known["started"] < 0.05:
        yield Lack(
            "waiting and service cannot be told apart",
            "its rows have one time each, the end",
            f"started_at beside ended_at, or {_RECORDER}",
        )
    if known["queued"] < 0.05 and measured.clock:
        yield Lack(
            "how long jobs wait in the queue",
            "a worker log has no enqueue time" if worker_log else "its rows have no queued_at",
            f"{_RECORDER}, or events with task_send_sent_event",
        )


def _of_columns(measured: Measured, known: Mapping[str, float]) -> Iterator[Lack]:
    """What needs CPU seconds, sizes of inputs, and parents."""
    if known["cpu"] < 0.5 and known["started"] >= 0.05:
        yield Lack(
            "computing and waiting for I/O cannot be told apart",
            "it has no CPU seconds",
            f"{_RECORDER}, or --stacks of py-spy",
        )
    if known["size"] < 0.5 and any(one.answer is Answer.SLOWED for one in measured.tests):
        yield Lack(
            "whether bigger inputs came when more ran, which looks the same",
            "it has no input sizes",
            f"a column size, or {_RECORDER}",
        )
    if measured.multi_step and not measured.log.parents and measured.clock:
        yield Lack(
            "which steps could run beside each other",
            "it has no parents",
            f"a column parents, or {_RECORDER}",
        )


def _of_load(measured: Measured) -> Iterator[Lack]:
    """What needs hours, or captures, with little and with much at work."""
    too_little = [one for one in measured.tests[:1] if one.answer is Answer.TOO_LITTLE]
    if too_little and measured.comparison is None:
        yield Lack(
            "whether runs slow each other down",
            too_little[0].why,
            "a log of hours with little and with much load",
        )
    points = {one.slots for one in measured.points}
    if len(points) > 1 and len(points) < 5 and measured.comparison is not None:
        yield Lack(
            f"a scalability law: {len(points)} load points fit none",
            "two points fit any law exactly, and with four the contention term collapses to 0",
            "captures at five or six numbers of workers",
        )
    elif len(measured.points) == 1 and not measured.clock and measured.curve is not None:
        yield Lack(
            "what more workers buy",
            "one capture shows one number of workers",
            "a capture with fewer workers beside it",
        )


def _of_ends(known: Mapping[str, float], *, worker_log: bool) -> Iterator[Lack]:
    """What Celery's own log leaves out."""
    if worker_log and known["started"] < known["ended"] - 0.02:
        yield Lack(
            "when runs that failed or were retried began",
            "Celery logs a run time for successes only",
            _RECORDER,
        )
