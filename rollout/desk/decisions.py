"""A past decision with its evidence, and what comes of making it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rollout.desk.evidence import notes_of, stands, worst_first
from rollout.desk.history import summary
from rollout.desk.plain import Json
from rollout.desk.text import at_text
from rollout.errors import UnreadableDecision
from rollout.evidence.verdict import Finding
from rollout.pilot.ports import DecisionRecord
from rollout.pilot.replay import Evidence, Replay, evidence_of, replay


class Decisions(Protocol):
    """The ledger's log of decisions."""

    def decisions(
        self, name: str | None, limit: int, before: int | None = None
    ) -> list[DecisionRecord]:
        """Read the decisions, newest first, from before one on. Raises LedgerUnreachable."""
        ...

    def decision(self, decision_id: int) -> DecisionRecord:
        """Read one decision. Raises UnknownDecision, LedgerUnreachable."""
        ...


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """A past decision; `evidence` is None where it cannot be read, and `unreadable` says why."""

    record: DecisionRecord
    evidence: Evidence | None
    unreadable: str | None = None

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What is to be known: a word and a sentence each."""
        record, found = self.record, self.evidence
        made = f"{at_text(record.at)} on revision {record.revision}, key {record.window}"
        rows = [("made", made)]
        if found is None:
            return [*rows, ("evidence", f"{self.unreadable}; --json shows what is stored")]
        if found.seen is not None:
            rows.append(("stood", stands(found.seen)))
        rows += [("because", one) for one in found.reasons]
        rows.append(("check", f"`rollout replay {record.decision_id}` makes it again"))
        return rows

    @property
    def findings(self) -> Sequence[Finding]:
        """Every verdict with its numbers."""
        findings = () if self.evidence is None else self.evidence.findings
        return sorted(findings, key=worst_first)

    @property
    def notes(self) -> list[tuple[str, str]]:
        """What the numbers do not say by themselves."""
        seen = None if self.evidence is None else self.evidence.seen
        return [] if seen is None else notes_of(seen)

    def to_json(self) -> Json:
        """What scripts read: also what is stored, as it is."""
        stored = {"inputs": _stored(self.record.inputs), "answer": _stored(self.record.answer)}
        return {**summary(self.record), **stored}


@dataclass(frozen=True, slots=True)
class ReplayPage:
    """A decision that was made again."""

    made: Replay

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            **summary(self.made.record),
            "agrees": self.made.agrees,
            "differences": [
                {"where": one.where, "decided": one.decided, "replayed": one.replayed}
                for one in self.made.differences
            ],
        }


@dataclass(frozen=True, slots=True)
class DecisionList:
    """Decisions without their evidence, newest first; at most `limit`."""

    decisions: tuple[DecisionRecord, ...]
    limit: int

    @property
    def more(self) -> bool:
        """Whether older ones may have been left out."""
        return len(self.decisions) == self.limit

    def to_json(self) -> Json:
        """What scripts read."""
        return {"decisions": [summary(one) for one in self.decisions]}


def read_decision(ledger: Decisions, decision_id: int) -> DecisionPage:
    """Read a past decision with the evidence it was made on.

    Raises:
        UnknownDecision, LedgerUnreachable: It cannot be read.
    """
    record = ledger.decision(decision_id)
    try:
        return DecisionPage(record, evidence_of(record))
    except UnreadableDecision as error:
        return DecisionPage(record, None, error.problem)


def replay_decision(ledger: Decisions, decision_id: int) -> ReplayPage:
    """Make a past decision again from what it was made on.

    Raises:
        UnknownDecision, LedgerUnreachable, UnreadableDecision: It cannot be made again.
    """
    return ReplayPage(replay(ledger.decision(decision_id)))


def _stored(text: str) -> Any:
    """Stored JSON; as it is when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text
