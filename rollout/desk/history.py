"""Who changed what, what the controller decided, when and why: one timeline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rollout.desk.plain import Json, plain_json
from rollout.desk.text import percent
from rollout.errors import UnknownSubPipeline
from rollout.pilot.ports import DecisionRecord
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import ALL, ControlState

CONTROLLER = "controller"
"""The actor of changes that carry a decision out."""


class Log(Protocol):
    """The ledger's two append-only logs. Both raise LedgerUnreachable."""

    def controls(self) -> list[ControlState]:
        """Read all control rows."""
        ...

    def transitions(self, name: str, limit: int) -> list[TransitionRecord]:
        """Read the changes, newest first. Raises UnknownSubPipeline."""
        ...

    def decisions(self, name: str | None, limit: int) -> list[DecisionRecord]:
        """Read the decisions, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of the timeline; a decision that changed nothing has no `now`."""

    at: datetime
    revision: int
    event: str
    now: str
    actor: str
    decision_id: int | None
    why: str


@dataclass(frozen=True, slots=True)
class History:
    """The newest changes and decisions of one sub-pipeline, newest first; at most `limit` each."""

    name: str
    transitions: tuple[TransitionRecord, ...]
    decisions: tuple[DecisionRecord, ...]
    limit: int

    @property
    def timeline(self) -> list[Happened]:
        """Both in one list, newest first; a decision that changed something is one line."""
        lines = [*self._changes(), *self._holds()]
        lines.sort(key=lambda one: (one.at, one.revision), reverse=True)
        return lines[: self.limit]

    def _changes(self) -> Iterator[Happened]:
        ids = {(one.at, one.sentence): one.decision_id for one in self.decisions}
        for one in self.transitions:
            decision_id = ids.get((one.at, one.reason)) if one.actor == CONTROLLER else None
            yield Happened(
                one.at, one.after.revision, str(one.event), _now(one.after), one.actor,
                decision_id, _why(one),
            )  # fmt: skip

    def _holds(self) -> Iterator[Happened]:
        carried_out = {(one.at, one.reason) for one in self.transitions if one.actor == CONTROLLER}
        for one in self.decisions:
            if (one.at, one.sentence) not in carried_out:
                yield Happened(
                    one.at, one.revision, one.action, "", CONTROLLER, one.decision_id, one.sentence
                )

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "name": self.name,
            "transitions": [_change_json(record) for record in self.transitions],
            "decisions": [summary(one) for one in self.decisions],
        }


def read_history(log: Log, name: str, limit: int) -> History:
    """Read the newest lines.

    Raises:
        UnknownSubPipeline, LedgerUnreachable: They cannot be read.
    """
    if name == ALL:
        raise UnknownSubPipeline(name, [state.name for state in log.controls()])
    return History(
        name, tuple(log.transitions(name, limit)), tuple(log.decisions(name, limit)), limit
    )


def summary(record: DecisionRecord) -> Json:
    """What scripts read about a decision without its evidence."""
    return {
        "id": record.decision_id,
        "name": record.name,
        "at": record.at.isoformat(),
        "window": record.window,
        "action": record.action,
        "sentence": record.sentence,
        "revision": record.revision,
    }


def last_change_json(record: TransitionRecord | None) -> Json | None:
    """What scripts read about the last change beside a status."""
    if record is None:
        return None
    return {
        "at": record.at.isoformat(),
        "event": str(record.event),
        "actor": record.actor,
        "reason": record.reason,
    }


def _change_json(record: TransitionRecord) -> Json:
    states: Sequence[tuple[str, object]] = (
        ("before", record.before),
        ("after", record.after),
        ("met", record.met),
    )
    return {**(last_change_json(record) or {}), **{key: plain_json(one) for key, one in states}}


def _why(record: TransitionRecord) -> str:
    if record.met is None:
        return record.reason
    return f"{record.reason} (met {record.met.queued} queued, {record.met.running} running jobs)"


def _now(state: ControlState) -> str:
    words = [str(state.stage), percent(state.scope_bp)]
    words += ["killed"] if state.killed else []
    words += ["frozen"] if state.frozen else []
    return " ".join(words)
