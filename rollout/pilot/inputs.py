"""What a decision was made on, as it is stored, and the same decision made again from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rollout.evidence.stored import Json
from rollout.pilot.confirmation import Confirmation
from rollout.pilot.fleet import Member, enter, entries
from rollout.pilot.judge import judge
from rollout.pilot.judgement import Judgement
from rollout.pilot.rule import stored_policy
from rollout.pilot.situation import Situation, situation_from_json
from rollout.policy.policy import Cohort, Fleet, Policies, Policy
from rollout.routing.stages import ControlState, Stage


@dataclass(frozen=True, slots=True)
class Entry:
    """What let a member of a cohort in: as much of the fleet as that question asks for.

    Attributes:
        cohort: The cohort.
        members: Those of the cohort, and whoever else is on trial.
        leader: Policy of the cohort's first member; its days are the cohort's.
        fleet: Limits over all.
    """

    cohort: Cohort
    members: Mapping[str, Member]
    leader: Policy
    fleet: Fleet

    @classmethod
    def of(cls, cohort: Cohort, members: Mapping[str, Member], policies: Policies) -> Entry:
        """Keep what matters of all sub-pipelines."""
        kept = {
            name: member
            for name, member in members.items()
            if name in cohort.members or member.on_trial
        }
        return cls(cohort, kept, policies.of(cohort.members[0]), policies.fleet)

    def judge(self, policy: Policy, situation: Situation) -> Judgement | None:
        """Let the member in again; None when it would not be let in."""
        policies = Policies(default=self.leader, fleet=self.fleet)
        names, said = entries(self.cohort, self.members, policies, situation.now)
        return (
            enter(policy, situation, self.cohort, said) if situation.state.name in names else None
        )

    def to_json(self) -> dict[str, Any]:
        """Give a plain object."""
        return {
            "cohort": self.cohort.model_dump(mode="json"),
            "members": {name: _member_json(one) for name, one in self.members.items()},
            "leader": self.leader.model_dump(mode="json"),
            "fleet": self.fleet.model_dump(mode="json"),
        }

    @classmethod
    def from_json(cls, payload: Mapping[str, Any]) -> Entry:
        """Read what `to_json` gave; raises KeyError, ValueError or TypeError."""
        return cls(
            Cohort.model_validate(payload["cohort"]),
            {name: _member_from(one) for name, one in payload["members"].items()},
            stored_policy(payload["leader"]),
            Fleet.model_validate(payload["fleet"]),
        )


def inputs_of(policy: Policy, situation: Situation, entry: Entry | None = None) -> str:
    """Give everything a decision is made on as JSON text.

    Args:
        policy: The policy in force.
        situation: The situation.
        entry: The cohort's part, when a member enters with it.
    """
    payload: dict[str, Any] = {
        "policy": policy.model_dump(mode="json"),
        "situation": situation.to_json(),
    }
    if entry is not None:
        payload["entry"] = entry.to_json()
    return json.dumps(payload, separators=(",", ":"))


def answer_text(answer: Json) -> str:
    """A decision's answer as it is stored."""
    return json.dumps(answer, separators=(",", ":"))


def decide_again(inputs: str) -> Json:
    """Make a decision again from what it was made on.

    Pure: the same text gives the same answer.

    Returns:
        The answer as a plain object; None when nothing would be decided.

    Raises:
        KeyError, ValueError, TypeError, EvidenceError: The text is not what this release stores.
    """
    payload = json.loads(inputs)
    if not isinstance(payload, dict):
        raise TypeError(f"inputs must be an object, got {type(payload).__name__}")
    if "confirm" in payload:
        return Confirmation.from_json(payload["confirm"]).answer()
    policy = stored_policy(payload["policy"])
    situation = situation_from_json(payload["situation"], policy)
    if "entry" in payload:
        judgement = Entry.from_json(payload["entry"]).judge(policy, situation)
        return None if judgement is None else judgement.to_json()
    return judge(policy, situation).to_json()


def _member_json(member: Member) -> dict[str, Any]:
    values = asdict(member)
    return {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in values.items()
    }


def _member_from(payload: Mapping[str, Any]) -> Member:
    state = {**payload["state"], "stage": Stage(payload["state"]["stage"])}
    times = {
        key: None if payload[key] is None else datetime.fromisoformat(payload[key])
        for key in ("changed_at", "advanced_at", "graduated_at")
    }
    return Member(ControlState(**state), reverted=payload["reverted"], **times)
