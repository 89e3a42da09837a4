"""Conditions of a sub-pipeline as programs ask for them: type, status, reason, message, since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rollout.desk.plain import Json, plain_json
from rollout.desk.status import Status
from rollout.routing.stages import Stage

if TYPE_CHECKING:
    from rollout.desk.leader import Leader
    from rollout.desk.pending import Pending
    from rollout.routing.ports import TransitionRecord


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; `status` None is unknown, `since` None where nobody noted it."""

    kind: str
    status: bool | None
    reason: str
    message: str
    since: datetime | None = None

    def to_json(self) -> Json:
        """What scripts read: status as text, as Kubernetes has it."""
        return {
            "type": self.kind,
            "status": {True: "True", False: "False", None: "Unknown"}[self.status],
            "reason": self.reason,
            "message": self.message,
            "since": plain_json(self.since),
        }


def conditions_of(
    status: Status,
    pending: Pending | None,
    leader: Leader | None,
    changed: TransitionRecord | None,
) -> tuple[Condition, ...]:
    """Say how a sub-pipeline is.

    Args:
        status: Its state, what the gate sees, its jobs.
        pending: What is judged now; None where nobody can tell.
        leader: Who leads; None where nobody asked.
        changed: The last change.
    """
    state, at = status.state, None if changed is None else changed.at
    routed = status.closed is None
    lag = status.gate_revision == state.revision
    return (
        Condition(
            "Killed", state.killed, "Killed" if state.killed else "NotKilled",
            "every job goes to legacy" if state.killed else "no kill is latched", at,
        ),
        Condition(
            "Frozen", state.frozen, "Frozen" if state.frozen else "NotFrozen",
            "the scope may not grow" if state.frozen else "the scope may grow", at,
        ),
        Condition(
            "ConcurrentStarts", routed, "Open" if routed else str(status.closed),
            status.starts_now,
        ),
        Condition(
            "Observed", lag, "Newest" if lag else "Behind",
            f"starts decide on revision {status.gate_revision}, the ledger is at {state.revision}",
        ),
        _judged(state.stage, pending, leader),
        _healthy(pending),
    )  # fmt: skip


def _judged(stage: Stage, pending: Pending | None, leader: Leader | None) -> Condition:
    if leader is not None and not leader.alive:
        return Condition("Judged", False, "NobodyLeads", leader.sentence)
    if pending is None:
        return Condition("Judged", None, "Unreadable", "what is pending cannot be told")
    if pending.unseen is not None:
        return Condition("Judged", False, "NotSeenYet", pending.unseen)
    return Condition("Judged", True, str(stage).capitalize(), pending.sentence)


def _healthy(pending: Pending | None) -> Condition:
    made = None if pending is None else pending.made
    if made is None:
        return Condition("Healthy", None, "NotJudged", "no verdict yet")
    if made.action == "revert":
        return Condition("Healthy", False, "Regressed", made.sentence)
    worse = [one for one in made.findings if one.verdict.value in ("regress", "error")]
    if worse:
        return Condition("Healthy", False, worse[0].metric, worse[0].sentence)
    return Condition("Healthy", True, "NoRegression", "no test says that anything is worse")
