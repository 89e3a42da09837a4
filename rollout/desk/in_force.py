"""Which policies the controller judges by, and whether the file says something else by now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rollout.desk.leader import Leader
from rollout.desk.text import at_text, some
from rollout.errors import WrongSettings
from rollout.pilot.ports import Leadership
from rollout.policy.in_force import differences
from rollout.policy.policy import Policies

_TOLD = 3
"""Differences that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The policies in force; `difference` says what the file says instead, and what to restart."""

    policies: Policies
    difference: str | None = None


def read_in_force(
    leadership: Leadership, leader: Leader, today: Callable[[], Policies], names: Iterable[str]
) -> InForce:
    """Read what the leader judges by; where nobody leads, what the next one would read here.

    Args:
        leadership: What the leader has kept.
        leader: Who leads.
        today: Reads the file; raises WrongSettings.
        names: Sub-pipelines to compare.

    Raises:
        WrongSettings: Nobody leads, and the file cannot be read.
        LedgerUnreachable: The ledger does not answer.
    """
    kept = leadership.kept_policies() if leader.alive else None
    policies = None if kept is None else kept.policies
    if kept is None or policies is None:
        return InForce(today())
    since = f"the controller {kept.owner} judges by the policy that it read at {at_text(kept.at)}"
    restart = f"restart {kept.owner} (`rollout controller`, or `rollout up`) to judge by the file"
    try:
        different = differences(policies, today(), names)
    except WrongSettings as error:
        return InForce(policies, f"{since}; today's cannot be read: {error.problem}")
    if not different:
        return InForce(policies)
    told = some(different, _TOLD, "; ")
    return InForce(policies, f"{since}, and rollout.toml says otherwise: {told}; {restart}")
