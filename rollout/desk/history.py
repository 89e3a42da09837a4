"""Who changed what, what the controller decided, when and why: one timeline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rollout.desk.plain import Json, plain_json
from rollout.desk.releases import replaced_by
from rollout.desk.text import at_text, percent
from rollout.errors import UnknownSubPipeline
from rollout.pilot.builds import BuildRecord
from rollout.pilot.ports import DecisionRecord
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import ALL, ControlState

CONTROLLER = "controller"
"""The actor of changes that carry a decision out."""


WORKERS = "workers"
"""The actor of a new build: the first worker that ran it said so."""


def by_whom(changed: TransitionRecord) -> str:
    """Who made a change, when and why."""
    why = f": {changed.reason.rstrip('.')}" if changed.reason else ""
    return f"by {changed.actor}, {at_text(changed.at)}{why}"


class Log(Protocol):
    """The ledger's two append-only logs, and its builds. All raise LedgerUnreachable."""

    def controls(self) -> list[ControlState]:
        """Read all control rows."""
        ...

    def transitions(
        self, name: str, limit: int, before: int | None = None
    ) -> list[TransitionRecord]:
        """Read the changes, newest first, from before one on. Raises UnknownSubPipeline."""
        ...

    def decisions(
        self, name: str | None, limit: int, before: int | None = None
    ) -> list[DecisionRecord]:
        """Read the decisions, newest first, from before one on."""
        ...

    def build_records(self, name: str | None) -> Sequence[BuildRecord]:
        """Read every build, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of the timeline; what changed no control state has no `now`, a build no revision."""

    at: datetime
    revision: int | None
    event: str
    now: str
    actor: str
    decision_id: int | None
    why: str

    @property
    def what(self) -> str:
        """What happened, and what holds since."""
        return f"{self.event}, now {self.now}" if self.now else self.event


@dataclass(frozen=True, slots=True)
class Older:
    """Where a page of the history begins: only changes and decisions with smaller ids."""

    change: int
    decision: int


@dataclass(frozen=True, slots=True)
class History:
    """The newest of what happened to one sub-pipeline, newest first; at most `limit` of a kind."""

    name: str
    transitions: tuple[TransitionRecord, ...]
    decisions: tuple[DecisionRecord, ...]
    limit: int
    builds: tuple[BuildRecord, ...] = ()

    @property
    def timeline(self) -> list[Happened]:
        """All in one list, newest first; a decision that changed something is one line."""
        lines = [*self._changes(), *self._holds(), *self._upgrades()]
        lines.sort(key=lambda one: (one.at, one.revision or 0), reverse=True)
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

    def _upgrades(self) -> Iterator[Happened]:
        for one in self.builds[: self.limit]:
            before = replaced_by(self.builds, one)
            instead = "the first that has a name" if before is None else f"before it {before}"
            why = f"{one.path} runs {one.build}, {instead}"
            yield Happened(one.first_at, None, "build", "", WORKERS, None, why)

    @property
    def older(self) -> Older | None:
        """Where the page after this one begins; None where both logs have ended."""
        change = decision = 0  # no line is older than that
        if len(self.transitions) == self.limit:
            change = self.transitions[-1].change_id or 0
        if len(self.decisions) == self.limit:
            decision = self.decisions[-1].decision_id
        return Older(change, decision) if change or decision else None

    def to_json(self) -> Json:
        """What scripts read."""
        return {
            "name": self.name,
            "builds": [_build_json(one) for one in self.builds[: self.limit]],
            "transitions": [_change_json(record) for record in self.transitions],
            "decisions": [summary(one) for one in self.decisions],
        }


def read_history(log: Log, name: str | None, limit: int, before: Older | None = None) -> History:
    """Read the newest lines of one sub-pipeline; None: of the latch that kills all.

    With `before` the lines before it; builds are few, and all on the first page.

    Raises:
        UnknownSubPipeline, LedgerUnreachable: They cannot be read.
    """
    if name == ALL:
        raise UnknownSubPipeline(name, [state.name for state in log.controls()])
    name = ALL if name is None else name
    return History(
        name,
        tuple(log.transitions(name, limit, None if before is None else before.change)),
        tuple(log.decisions(name, limit, None if before is None else before.decision)),
        limit,
        () if before else tuple(log.build_records(name)),
    )


def _build_json(record: BuildRecord) -> Json:
    values: Json = plain_json(record)
    del values["name"]
    return values


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
