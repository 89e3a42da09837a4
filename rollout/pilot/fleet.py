"""Limits over many sub-pipelines: shared resources, advances a day, cohorts that double.

Decided from values; the service asks again after each change it makes, so two sub-pipelines never
pass on the same reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from rollout.pilot.judgement import Action, Judgement
from rollout.pilot.situation import Situation
from rollout.pilot.trial import Trial
from rollout.policy import ladder
from rollout.policy.policy import Cohort, Policies, Policy, blocked_by
from rollout.routing.stages import ControlState, Event, Stage

SETTLE_DAYS = 1.0
"""After a change, others that share its resource wait this long: a harm must have one suspect."""


@dataclass(frozen=True, slots=True)
class Member:
    """One sub-pipeline, as far as the others have to know it.

    Attributes:
        state: Its control state.
        changed_at: When its step began; None when it was never watched.
        advanced_at: Its last advance by the controller.
        reverted: It was reverted, by whomever, and nobody has started it again.
        graduated_at: When it graduated; None when it has not.
    """

    state: ControlState
    changed_at: datetime | None = None
    advanced_at: datetime | None = None
    reverted: bool = False
    graduated_at: datetime | None = None

    @property
    def on_trial(self) -> bool:
        """Whether jobs run on its concurrent path and it is not through."""
        return self.state.stage in (Stage.SHADOW, Stage.SPLIT)


def member_of(state: ControlState, trial: Trial | None) -> Member:
    """What the others have to know of a sub-pipeline; `trial` None was never watched."""
    if trial is None:
        return Member(state)
    graduated = state.stage is Stage.GRADUATED
    return Member(
        state,
        trial.began_at,
        trial.advanced_at,
        trial.taken_back and state.stage is Stage.LEGACY,
        trial.began_at if graduated else None,
    )


def held_by_fleet(
    name: str, members: Mapping[str, Member], policies: Policies, now: datetime
) -> str | None:
    """Say why the fleet lets this sub-pipeline not advance now; None when it does.

    Args:
        name: Who wants to advance.
        members: All sub-pipelines, itself included.
        policies: Limits and shared resources.
        now: Aware time.
    """
    mine = policies.of(name)
    day = timedelta(seconds=mine.day_s)
    limit = policies.fleet.advances_per_day_max
    if limit is not None:
        lately = [
            one for one, member in members.items()
            if member.advanced_at is not None and now - member.advanced_at < day
        ]  # fmt: skip
        if len(lately) >= limit:
            names = ", ".join(sorted(lately))
            return f"{len(lately)} advances in the last day ({names}), {limit} are allowed."
    if mine.resource is None:
        return None
    for other, member in sorted(members.items()):
        if other == name or policies.of(other).resource != mine.resource:
            continue
        if not member.on_trial or member.changed_at is None:
            continue
        if now - member.changed_at < SETTLE_DAYS * day:
            return f"{other!r} shares {mine.resource!r} and has changed within the last day."
    return None


def entries(
    cohort: Cohort, members: Mapping[str, Member], policies: Policies, now: datetime
) -> tuple[list[str], str]:
    """Say which members of a cohort enter their trial now, and why no more.

    The first one enters by hand. When it has graduated, the cohort grows to 2, 4, 8 ... members,
    doubling once a period; a revert of one stops all growth until a person starts it again.

    Args:
        cohort: Similar sub-pipelines, in the order in which they enter.
        members: All sub-pipelines; a name that is not declared yet is passed over.
        policies: The limit of trials at once.
        now: Aware time.

    Returns:
        Names that enter, and a sentence.
    """
    known = [name for name in cohort.members if name in members]
    for name in known:
        if members[name].reverted:
            return [], f"{name!r} of cohort {cohort.name!r} was reverted: nobody enters."
    first = members.get(cohort.members[0])
    if first is None or first.graduated_at is None:
        return [], f"{cohort.members[0]!r} has not graduated yet."
    period = timedelta(seconds=cohort.period_days * policies.of(cohort.members[0]).day_s)
    doublings = max(0, (now - first.graduated_at) // period)
    size = min(2 ** (min(doublings, 30) + 1), len(cohort.members))
    entered = [name for name in known if members[name].state.stage is not Stage.LEGACY]
    waiting = [name for name in known if members[name].state.stage is Stage.LEGACY]
    room = size - len(entered)
    limit = policies.fleet.splits_max
    if limit is not None:
        busy = sum(member.on_trial for member in members.values())
        room = min(room, limit - busy)
    free = [name for name in waiting if not _closed(members[name])]
    sentence = f"{len(entered)} of {size} members of cohort {cohort.name!r} have entered."
    return free[: max(0, room)], sentence


def held_at_the_door(
    name: str, members: Mapping[str, Member], policies: Policies, trial: Trial, now: datetime
) -> str | None:
    """Say why a member that `entries` lets in waits all the same; None when nothing holds it.

    To enter is to advance: what holds the advances of a trial in a split holds it, too.

    Args:
        name: Who wants to enter.
        members: All sub-pipelines, with those that have entered just now.
        policies: Calendars and limits.
        trial: Its own.
        now: Aware time.
    """
    if (held := blocked_by(policies.of(name), now)) is not None:
        return held
    if trial.cooldown_until is not None and now < trial.cooldown_until:
        return "cooling down after a revert"
    return held_by_fleet(name, members, policies, now)


def enter(policy: Policy, situation: Situation, cohort: Cohort, sentence: str) -> Judgement | None:
    """What follows for a member that `entries` let in: shadow when the policy asks for it.

    Returns:
        None when cap and holdback leave no step; `rollout policy check` says so.
    """
    event = Event.SHADOW if policy.shadow_pairs_min else Event.START
    first = ladder.first_bp(policy, situation.state.holdback_bp, situation.baseline)
    if first is None:
        return None
    first = None if event is Event.SHADOW else first
    return Judgement(
        Action.ADVANCE,
        event,
        first,
        False,
        False,
        f"{situation.step}/enter",
        (),
        (),
        f"enters with its cohort {cohort.name!r}: {sentence}",
        first,
        None,
    )


def _closed(member: Member) -> bool:
    return member.state.killed or member.state.frozen
