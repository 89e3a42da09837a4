"""Forced failures that were run: a list, what came of one, its whole journal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.desk.plain import Json, plain_json
from rollout.drills.journal import journal_of
from rollout.drills.ports import DrillEvent, Journals


@dataclass(frozen=True, slots=True)
class DrillLine:
    """One drill of a list; `ended` None while it runs, or when its runner died."""

    declared: DrillEvent
    ended: Mapping[str, Any] | None

    @property
    def result(self) -> str:
        """What came of it."""
        return "not ended" if self.ended is None else str(self.ended.get("result", "not ended"))

    @property
    def recovery_s(self) -> float | None:
        """Fault to steady state again; None when that was not reached."""
        found: float | None = None if self.ended is None else self.ended.get("recovery_s")
        return found


@dataclass(frozen=True, slots=True)
class DrillList:
    """First and last lines of drills, newest drill first."""

    events: tuple[DrillEvent, ...]

    @property
    def lines(self) -> list[DrillLine]:
        """One for each drill."""
        ended = {one.drill_id: one.facts for one in self.events if one.what == "ended"}
        declared = [one for one in self.events if one.what == "declared"]
        return [DrillLine(one, ended.get(one.drill_id)) for one in declared]

    def to_json(self) -> Json:
        """What scripts read."""
        return {"drills": [plain_json(event) for event in self.events]}


@dataclass(frozen=True, slots=True)
class DrillJournal:
    """Everything that happened in one drill, oldest first."""

    events: tuple[DrillEvent, ...]

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
        return {**self.declared, **(self.ended or {})}

    def summary_json(self) -> Json:
        """What scripts read about the drill without its journal."""
        return {"declared": plain_json(self.declared), "ended": plain_json(self.ended)}

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "drill_id": self.events[0].drill_id,
            "events": [plain_json(event) for event in self.events],
        }


def read_drills(ledger: Journals, name: str | None, limit: int) -> DrillList:
    """Read the newest drills of one sub-pipeline, or of all.

    Raises:
        LedgerUnreachable: The ledger does not answer.
    """
    return DrillList(tuple(ledger.drills(name, limit)))


def read_journal(ledger: Journals, drill_id: str) -> DrillJournal:
    """Read one drill by its id, or by the beginning of its id where only one begins so.

    Raises:
        BadDrill: There is none, or more than one.
        LedgerUnreachable: The ledger does not answer.
    """
    return DrillJournal(tuple(journal_of(ledger, drill_id)))
