"""What rollout writes into a message's headers, under one name."""

from contextvars import ContextVar
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from rollout.jobs.ports import Job
from rollout.routing.decision import Decision, JobPath, Reason

HEADER = "rollout"

current_job: ContextVar[Job] = ContextVar("rollout_current_job")
"""The job whose path runs in this context, with its attempt number."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The routing key and the decision a message was sent on.

    `handed` marks a message that the ledger already knows to be on its way: it passes the door
    unchanged. `drilled` marks a message sent while a drill is aimed at its path. `at` is when the
    job was submitted, in milliseconds since 1970: a message that outlived its job tells its age.
    """

    key: str
    path: str
    reason: str
    revision: int
    handed: bool = False
    drilled: bool = False
    at: int | None = None

    def header(self) -> dict[str, Any]:
        """The header's value, plain JSON; `drilled` only when there is a drill."""
        header = {name: getattr(self, name) for name in _FIELDS}
        if self.at is not None:
            header["at"] = self.at
        return {**header, "drilled": True} if self.drilled else header

    @property
    def decision(self) -> Decision:
        """The decision as an object."""
        return Decision(JobPath(self.path), Reason(self.reason), self.revision, self.drilled)


_FIELDS = tuple(field.name for field in fields(Marks) if field.name not in ("drilled", "at"))
"""The values are flat, so `dataclasses.asdict` would only copy them with care, at ten times the
cost."""


def milliseconds(at: datetime) -> int:
    """A time as `Marks.at` has it."""
    return round(at.timestamp() * 1000)


def submitted_at(marks: Marks | None, now: datetime) -> datetime:
    """When a message's job was submitted; now for one that does not tell."""
    if marks is None or not isinstance(marks.at, int):
        return now
    return datetime.fromtimestamp(marks.at / 1000, UTC)


def read_marks(headers: Any) -> Marks | None:
    """Read a header; None for a message from elsewhere or one that somebody mangled."""
    found = headers.get(HEADER) if isinstance(headers, dict) else None
    if not isinstance(found, dict):
        return None
    try:
        marks = Marks(**found)
        marks.decision  # noqa: B018  # an unknown path or reason raises
        return marks
    except (TypeError, ValueError):
        return None


def is_drilled(headers: Any) -> bool:
    """Whether a message was sent while a drill was aimed at its path."""
    found = headers.get(HEADER) if isinstance(headers, dict) else None
    return isinstance(found, dict) and found.get("drilled") is True


def queue_of(name: str, path: JobPath) -> str:
    """Name of the queue of one path."""
    return f"{name}.{path}"


def path_of(name: str, queue: str | None) -> JobPath | None:
    """Path that a queue belongs to; None for a queue that is not ours."""
    for path in JobPath:
        if queue == queue_of(name, path):
            return path
    return None
