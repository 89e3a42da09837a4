"""What a preflight says: per check a finding, a pass and what it saw, or why it could not look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rollout.preflight.facts import Source

EXAMPLES_MAX = 3


class Check(StrEnum):
    """What is looked for."""

    ARGUMENTS = "arguments"
    """Arguments that do not fit the paths, or that JSON cannot carry."""
    SIZE = "size"
    """Messages that are larger than rollout takes."""
    LIMITS = "limits"
    """Runs that take longer than a time limit lets them."""
    KEYS = "keys"
    """Routing keys that are missing, or that have a handful of values."""
    WAITS = "waits"
    """A job that submits others and waits for them: it holds a process that they may need."""
    RUNS = "runs"
    """The concurrent path raises on a recorded input."""
    EFFECTS = "effects"
    """A path that is declared to touch nothing, and writes."""
    HOOK = "hook"
    """A commit hook that fails in a transaction of the ledger."""
    CONNECTIONS = "connections"
    """More database connections than the database has left."""
    ORDER = "order"
    """A result that depends on which jobs ran before or beside it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Jobs that would break on the way.

    Attributes:
        check: What found it.
        sentence: What was found, with figures.
        todo: What to do.
        examples: The first jobs, by where they stand; what they were given is never shown.
    """

    check: Check
    sentence: str
    todo: str
    examples: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Passed:
    """A check that found nothing, and what it looked at."""

    check: Check
    sentence: str


@dataclass(frozen=True, slots=True)
class NotChecked:
    """A check, or a part of one, that was not made: `because`, and what would tell it."""

    check: Check
    because: str
    remedy: str


Result = Finding | Passed | NotChecked


@dataclass(frozen=True, slots=True)
class Preflight:
    """Everything that was looked at; each check has at least one result."""

    name: str
    sources: Sequence[Source]
    results: Sequence[Result]

    def __post_init__(self) -> None:
        silent = set(Check) - {one.check for one in self.results}
        assert not silent, f"a check says nothing: {silent}"

    @property
    def findings(self) -> list[Finding]:
        """What would break."""
        return [one for one in self.results if isinstance(one, Finding)]

    @property
    def passed(self) -> list[Passed]:
        """What was looked at and found fine."""
        return [one for one in self.results if isinstance(one, Passed)]

    @property
    def not_checked(self) -> list[NotChecked]:
        """What nobody can say yet."""
        return [one for one in self.results if isinstance(one, NotChecked)]

    def to_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "name": self.name,
            "ok": not self.findings,
            "sources": [{"name": one.name, "jobs": one.jobs} for one in self.sources],
            "findings": [
                {"check": str(one.check), "sentence": one.sentence, "todo": one.todo,
                 "examples": list(one.examples)}
                for one in self.findings
            ],
            "passed": [
                {"check": str(one.check), "sentence": one.sentence} for one in self.passed
            ],
            "not_checked": [
                {"check": str(one.check), "because": one.because, "remedy": one.remedy}
                for one in self.not_checked
            ],
        }  # fmt: skip


def jobs_text(count: int, noun: str = "job") -> str:
    """How many: "1 job", "1,200 jobs"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
