"""What rollout writes into a message's headers, under one name."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from rollout.adapters.celery.destination import without_delay
from rollout.jobs.ports import Job
from rollout.routing.decision import Decision, JobPath, Reason

HEADER = "rollout"

current_job: ContextVar[Job] = ContextVar("rollout_current_job")
"""The job whose path runs in this context, with its attempt number."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The routing key and the decision a message was sent on.

    Attributes:
        drilled: The message was sent while a drill is aimed at its path.
        of: Celery's id of the message they were made for. Callers forward headers, and a message
            of another id is another job.
        spent: Retries that legacy has used; those of the concurrent path are not its own.
        at: When the job was submitted, in milliseconds since 1970: a message that outlived its job
            tells its age.
        sent: When this message was sent, for one that is not its job's first.
    """

    key: str
    path: str
    reason: str
    revision: int
    drilled: bool = False
    of: str = ""
    spent: int = 0
    at: int | None = None
    sent: int | None = None

    def header(self) -> dict[str, Any]:
        """The header's value, plain JSON; what says nothing is left out."""
        header = {name: getattr(self, name) for name in _ALWAYS}
        header |= {name: value for name in _SOMETIMES if (value := getattr(self, name))}
        return header

    @property
    def decision(self) -> Decision:
        """The decision as an object."""
        return Decision(JobPath(self.path), Reason(self.reason), self.revision, self.drilled)


_SOMETIMES = ("drilled", "spent", "at", "sent")
_NAMES = frozenset(field.name for field in fields(Marks))
_ALWAYS = tuple(field.name for field in fields(Marks) if field.name not in _SOMETIMES)
"""The values are flat, so `dataclasses.asdict` would only copy them with care, at ten times the
cost."""


def milliseconds(at: datetime) -> int:
    """A time as `Marks.at` has it."""
    return round(at.timestamp() * 1000)


def submitted_at(marks: Marks | None, now: datetime) -> datetime:
    """When a message's job was submitted; now for one that does not tell."""
    if marks is None or not isinstance(marks.at, int):
        return now
    return _time(marks.at) or now


def sent_at(headers: Any) -> datetime | None:
    """When a message was sent; None for one that does not tell."""
    found = headers.get(HEADER) if isinstance(headers, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    stamps = [one for name in ("at", "sent") if isinstance(one := found.get(name), int)]
    return _time(max(stamps)) if stamps else None


def _time(at: int) -> datetime | None:
    """The time of a mark; None for one that somebody mangled beyond all calendars."""
    try:
        return datetime.fromtimestamp(at / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def read_marks(headers: Any, task_id: Any) -> Marks | None:
    """Read the header of the message with this id.

    None for a message from elsewhere, one that somebody mangled, and for marks that were made for
    another message. Marks of a release that named no message count.
    """
    found = headers.get(HEADER) if isinstance(headers, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    try:
        marks = Marks(**{name: found[name] for name in found if name in _NAMES})
        marks.decision  # noqa: B018  # an unknown path or reason raises
    except (TypeError, ValueError):
        return None
    return marks if marks.of in ("", str(task_id)) else None


def job_id_of(headers: Mapping[str, Any], task_id: Any) -> str:
    """The ledger's id of a message's job; callers give UUID objects and numbers, too.

    `Task.replace` sends another task under the id of the one that it replaces: another job.
    """
    nesting = headers.get("replaced_task_nesting")
    return f"{task_id}~{nesting}" if nesting else str(task_id)


def is_drilled(headers: Any) -> bool:
    """Whether a message was sent while a drill was aimed at its path."""
    found = headers.get(HEADER) if isinstance(headers, dict) else None
    return isinstance(found, dict) and found.get("drilled") is True


def queue_of(name: str, path: JobPath) -> str:
    """Name of the queue of one path."""
    return f"{name}.{path}"


def path_of(name: str, queue: str | None) -> JobPath | None:
    """Path that a queue, or a routing key, belongs to; None for one that is not ours."""
    plain = without_delay(queue) if queue else None
    for path in JobPath:
        if plain == queue_of(name, path):
            return path
    return None
