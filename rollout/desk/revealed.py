"""What is behind the mask, for those whom the log has noted: one job, or refused messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rollout.desk.jobs import JobPages, Jobs
from rollout.desk.mask import MASKED
from rollout.desk.plain import Json, plain_json
from rollout.jobs.claims import JobRecord


@dataclass(frozen=True, slots=True)
class Revealed:
    """What a job was given and what it gave; `error` says why the first cannot be read."""

    name: str
    job_id: str
    arguments: str | None
    result: str | None
    error: str | None = None

    def to_json(self) -> Json:
        """What scripts read."""
        values: Json = plain_json(self)
        return values


@dataclass(frozen=True, slots=True)
class RevealedPages:
    """The jobs of one id, and each of them without its mask."""

    found: JobPages
    revealed: tuple[Revealed, ...]

    def to_json(self) -> Json:
        """What scripts read: that of the jobs, and `revealed`."""
        return {**self.found.to_json(), "revealed": [one.to_json() for one in self.revealed]}


def reveal(record: JobRecord, arguments: Callable[[str], object]) -> Revealed:
    """Take the mask off; whoever calls has noted it. `arguments` reads a message."""
    name, job_id = record.name, record.job_id
    if not record.envelope:
        return Revealed(name, job_id, None, record.result, "no message of it is kept")
    try:
        text = json.dumps(arguments(record.envelope), ensure_ascii=False, default=str)
    except (ValueError, KeyError, TypeError) as error:
        why = f"its message cannot be read: {error}"
        return Revealed(name, job_id, None, record.result, why)
    return Revealed(name, job_id, text, record.result)


@dataclass(frozen=True, slots=True)
class Messages:
    """Refused messages that are kept, newest first; `revealed` once somebody was noted to look."""

    messages: tuple[Mapping[str, Any], ...]
    revealed: bool = False

    @property
    def shown(self) -> list[Mapping[str, Any]]:
        """What is seen of each."""
        if self.revealed:
            return list(self.messages)
        return [{**one, "headers": MASKED, "body": MASKED} for one in self.messages]

    def to_json(self) -> Json:
        """What scripts read."""
        return {"messages": [plain_json(one) for one in self.shown]}


def read_messages(ledger: Jobs, limit: int, *, revealed: bool) -> Messages:
    """Read the refused messages.

    Raises:
        LedgerUnreachable: The ledger does not answer.
    """
    return Messages(tuple(ledger.kept_messages(limit)), revealed)
