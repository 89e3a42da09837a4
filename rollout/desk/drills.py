"""Forced failures that were run: a list, what came of one, its whole journal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rollout.desk.plain import Json, plain_json
from rollout.drills.ports import DrillEvent, Journals
from rollout.drills.recorded import journal_of, runner_died

_LONG = frozenset({"bands", "drill_id", "jobs", "worker"})
"""What a line of a journal leaves out: scripts read it."""


@dataclass(frozen=True, slots=True)
class DrillLine:
    """One drill of a list; `ended` None while it runs, or when its runner died."""

    declared: DrillEvent
    ended: Mapping[str, Any] | None
    died: bool = False

    @property
    def result(self) -> str:
        """What came of it."""
        return _result(self.ended, died=self.died)

    @property
    def recovery_s(self) -> float | None:
        """Fault to steady state again; None when that was not reached."""
        found: float | None = None if self.ended is None else self.ended.get("recovery_s")
        return found


@dataclass(frozen=True, slots=True)
class DrillList:
    """First and last lines of drills, newest drill first."""

    events: tuple[DrillEvent, ...]
    died: frozenset[str] = frozenset()

    @property
    def lines(self) -> list[DrillLine]:
        """One for each drill."""
        ended = {one.drill_id: one.facts for one in self.events if one.what == "ended"}
        declared = [one for one in self.events if one.what == "declared"]
        return [
            DrillLine(one, ended.get(one.drill_id), one.drill_id in self.died) for one in declared
        ]

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "drills": [plain_json(event) for event in self.events],
            "results": [
                {"drill_id": line.declared.drill_id, "result": line.result} for line in self.lines
            ],
        }


@dataclass(frozen=True, slots=True)
class DrillJournal:
    """Everything that happened in one drill, oldest first."""

    events: tuple[DrillEvent, ...]
    died: bool = False

    @property
    def result(self) -> str:
        """What came of it."""
        return _result(self.ended, died=self.died)

    @property
    def declared(self) -> Mapping[str, Any]:
        """What was declared."""
        return self.events[0].facts

    @property
    def ended(self) -> Mapping[str, Any] | None:
        """What came of it; None when it has not ended."""
        return next((one.facts for one in self.events if one.what == "ended"), None)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Both together."""
        return {**self.declared, **(self.ended or {"result": self.result})}

    @property
    def figures(self) -> list[tuple[str, str]]:
        """What was declared and what came of it, by name, as it is said."""
        return [(name, figure(value)) for name, value in self.facts.items() if value != {}]

    def summary_json(self) -> Json:
        """What scripts read about the drill without its journal."""
        return {
            "declared": plain_json(self.declared),
            "ended": plain_json(self.ended),
            "result": self.result,
        }

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "drill_id": self.events[0].drill_id,
            "events": [plain_json(event) for event in self.events],
        }


def is_detail(event: DrillEvent) -> bool:
    """Whether a line is about one job or one window, of which there may be hundreds."""
    return event.what == "window" or event.what.startswith("job ")


def facts_of(event: DrillEvent) -> str:
    """What a line of a journal says beside its word."""
    if event.what in ("declared", "ended"):
        shown: dict[str, Any] = {
            key: event.facts.get(key)
            for key in ("fault", "path", "result", "detection_s", "recovery_s", "jobs_hurt")
        }
    else:
        shown = {key: value for key, value in event.facts.items() if key not in _LONG}
    return "  ".join(f"{key}={value}" for key, value in shown.items() if value is not None)


def figure(value: Any) -> str:
    """A value as it is said: nothing that is off, no brackets."""
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        told = [f"{key} = {inner:g}" if isinstance(inner, float) else f"{key} = {inner}"
                for key, inner in value.items() if inner is not None]  # fmt: skip
        return ", ".join(told) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return str(value)


def _result(ended: Mapping[str, Any] | None, *, died: bool) -> str:
    if ended is None:
        return "runner died" if died else "runs"
    return str(ended.get("result", "unknown"))


def read_drills(ledger: Journals, name: str | None, limit: int, now: datetime) -> DrillList:
    """Read the newest drills of one sub-pipeline, or of all.

    Raises:
        LedgerUnreachable: The ledger does not answer.
    """
    events = tuple(ledger.drills(name, limit))
    ended = {one.drill_id for one in events if one.what == "ended"}
    begun = {one.drill_id for one in events} - ended
    died = {one for one in begun if runner_died(ledger.drill_events(one), now)}
    return DrillList(events, frozenset(died))


def read_journal(ledger: Journals, drill_id: str, now: datetime) -> DrillJournal:
    """Read one drill by its id, or by the beginning of its id where only one begins so.

    Raises:
        BadDrill: There is none, or more than one.
        LedgerUnreachable: The ledger does not answer.
    """
    events = journal_of(ledger, drill_id)
    return DrillJournal(tuple(events), runner_died(events, now))
