"""Policy: what the controller may do with a sub-pipeline by itself, and when.

Values only. `rollout.toml` is read by `rollout/settings.py` and turned into these by
`rollout/policies.py`; whether they make sense together is the question of
`rollout/policy/lint/rules.py`.
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rollout.evidence.betting import Margin
from rollout.evidence.recovery import PAIRS_EXACT_MAX
from rollout.policy.calendars import FRIDAY_AFTERNOON, Freeze, Quiet, blocked, free_from, zone_named
from rollout.routing.stages import BP_ALL

__all__ = [
    "LADDER_BP",
    "Cohort",
    "Fleet",
    "Freeze",
    "Policies",
    "Policy",
    "Quiet",
    "blocked_by",
    "next_free",
]

# Strict: TOML has types, and "7" or true where a number belongs is a slip to be told.
Share = Annotated[int, Field(strict=True, ge=0, le=BP_ALL)]
Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]
Number = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Time = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]

DAYS_MAX = 36_500
"""A hundred years: "never" is said by `automatic`, and a calendar ends in the year 9999."""

DAY_S_MAX = 7 * 86_400.0

Days = Annotated[float, Field(strict=True, ge=0, le=DAYS_MAX, allow_inf_nan=False)]
SomeDays = Annotated[float, Field(strict=True, gt=0, le=DAYS_MAX, allow_inf_nan=False)]
Chance = Annotated[float, Field(strict=True, gt=0, lt=1, allow_inf_nan=False)]
Ratio = Annotated[float, Field(strict=True, ge=1, allow_inf_nan=False)]
Absolute = Annotated[float, Field(strict=True, ge=0, lt=1, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


LADDER_BP = (310, 625, 1250, 2500, 5000, 9000)
"""All steps, in basis points; which of them a trial takes, its traffic decides (`ladder`)."""


class Policy(BaseModel):
    """One sub-pipeline's policy. Days are policy days of `day_s` seconds."""

    model_config = _FROZEN

    automatic: bool = Field(
        default=True,
        strict=True,
        description="False: the controller judges and says, a person acts.",
    )
    budget_failed: Time | None = Field(
        default=None,
        description="Extra failed jobs a week that the pilot may cost; without it by its traffic.",
    )
    budget_late: Time | None = Field(
        default=None,
        description="The same for jobs beyond legacy's 95th percentile.",
    )
    bake_days: Days = Field(
        default=7.0, description="Least days at a step; it is looked at then and each half later."
    )
    ladder_bp: tuple[Share, ...] | None = Field(
        default=None,
        description="Scopes of the steps in basis points, growing; without it by the traffic.",
    )
    day_s: Time = Field(
        default=86_400.0,
        le=DAY_S_MAX,
        description="Seconds a policy day lasts; a smaller one compresses a rehearsal.",
    )
    jobs_min: Count = Field(default=0, description="Concurrent jobs a step must have seen.")
    drills_min: Count = Field(
        default=6,
        le=PAIRS_EXACT_MAX,
        description="Least drill pairs before a scope over 25 %; 0: recovery is not judged.",
    )
    drills_step_min: Count = Field(
        default=1, description="Drill pairs that each step over 25 % needs of its own."
    )
    drills_max_age_days: SomeDays = Field(
        default=180.0, description="Older drill pairs do not count."
    )
    alpha_error: Chance = Field(
        default=0.003,
        description="Chance of a false revert on the error rate, in 28 days.",
    )
    alpha_cycle: Chance = Field(default=0.003, description="The same on the cycle time.")
    alpha_recovery: Chance = Field(default=0.003, description="The same on the recovery time.")
    revert_margin_ratio: Ratio = Field(
        default=1.10,
        description="Concurrent over legacy failure rate that is no regression yet.",
    )
    revert_margin_absolute: Absolute = Field(
        default=0.0005,
        description="Added to that: a share of jobs, 0..1.",
    )
    revert_to: Literal["legacy", "previous_step"] = Field(
        default="legacy",
        description="Where a revert goes; `legacy` stays until a person starts again.",
    )
    cooldown_days: Days = Field(
        default=1.0,
        description="Days after a revert in which nothing advances.",
    )
    holdback_bp: Share | None = Field(
        default=None,
        description="Share kept on legacy, in basis points; without it as declared in code.",
    )
    scope_bp_max: Share = Field(default=BP_ALL, description="Largest scope, in basis points.")
    shadow_pairs_min: Count = Field(
        default=0,
        description="Least shadow pairs before the first step, beside the proof of their failures.",
    )
    legacy_success_age_s_max: Time = Field(
        default=3600.0,
        description="Legacy is ready when its last success is not older than this.",
    )
    legacy_headroom_min: Number = Field(
        default=1.0,
        description="Legacy is ready when it can carry this many times all arriving jobs.",
    )
    resource: Name | None = Field(
        default=None,
        description="What it shares: one change at a time among those that name the same.",
    )
    rearm_second_person: bool = Field(
        default=False,
        strict=True,
        description="True: who killed may not rearm, somebody else has to.",
    )
    zone: Name = Field(default="UTC", description="IANA time zone of the calendars.")
    freezes: tuple[Freeze, ...] = Field(
        default=(),
        description="Spans of local time without an advance; reverts are never held.",
    )
    quiet: tuple[Quiet, ...] = Field(
        default=(FRIDAY_AFTERNOON,),
        description="Times of each week without an advance; never a revert.",
    )

    @field_validator("ladder_bp")
    @classmethod
    def _grows(cls, ladder: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if ladder is None:
            return None
        if not ladder or ladder[0] == 0:
            raise ValueError("a ladder needs a first step above 0")
        for lower, higher in pairwise(ladder):
            if higher <= lower:
                raise ValueError(f"each step must be larger than the one before, {higher} is not")
        return ladder

    @field_validator("zone")
    @classmethod
    def _exists(cls, zone: str) -> str:
        zone_named(zone)
        return zone

    @property
    def revert_margin(self) -> Margin:
        """How much more often than legacy the concurrent path may fail without a regression."""
        return Margin(self.revert_margin_ratio, self.revert_margin_absolute)

    @property
    def ladder(self) -> tuple[int, ...]:
        """The ladder in force: the stated one, or all steps."""
        return LADDER_BP if self.ladder_bp is None else self.ladder_bp

    def scope_limit_bp(self, holdback_bp: int) -> int:
        """Largest scope that policy and holdback allow; the policy's holdback goes first.

        Args:
            holdback_bp: The one declared in code.
        """
        kept = holdback_bp if self.holdback_bp is None else self.holdback_bp
        return min(self.scope_bp_max, BP_ALL - kept)


class Fleet(BaseModel):
    """Limits over all sub-pipelines together."""

    model_config = _FROZEN

    splits_max: Positive | None = Field(
        default=None, description="Sub-pipelines in a pilot at once."
    )
    advances_per_day_max: Positive | None = Field(
        default=None,
        description="Advances in one policy day, all sub-pipelines together.",
    )


class Cohort(BaseModel):
    """Similar sub-pipelines: when the first has proved itself, 1, 2, 4, 8 of them follow."""

    model_config = _FROZEN

    name: Name = Field(description="The cohort's name.")
    members: tuple[Name, ...] = Field(
        min_length=1, description="Sub-pipelines in the order in which they enter."
    )
    period_days: SomeDays = Field(
        default=7.0, description="Days between two doublings of the cohort."
    )

    @field_validator("members")
    @classmethod
    def _once(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        for name in members:
            if members.count(name) > 1:
                raise ValueError(f"each member is named once, {name!r} is not")
        return members


class Policies(BaseModel):
    """Everything that was said: the default, what single sub-pipelines differ by, the fleet."""

    model_config = _FROZEN

    default: Policy = Field(default=Policy(), description="In force where nothing else is.")
    sub_pipelines: dict[str, Policy] = Field(
        default_factory=dict, description="By name; only the fields that were set count."
    )
    fleet: Fleet = Field(default=Fleet(), description="Limits over all of them.")
    cohorts: tuple[Cohort, ...] = Field(default=(), description="Similar sub-pipelines.")

    def of(self, name: str) -> Policy:
        """The policy in force for one sub-pipeline; an unknown name gets the default."""
        return self._in_force.get(name, self.default)

    @cached_property
    def _in_force(self) -> dict[str, Policy]:
        """The default with what each name differs by; asked for many times in every tick."""
        return {
            name: self.default.model_copy(
                update={field: getattr(own, field) for field in own.model_fields_set}
            )
            for name, own in self.sub_pipelines.items()
        }

    def cohort_of(self, name: str) -> Cohort | None:
        """The cohort that a sub-pipeline belongs to."""
        return next((cohort for cohort in self.cohorts if name in cohort.members), None)


def blocked_by(policy: Policy, now: datetime) -> str | None:
    """Say why the calendars let nothing advance now.

    Pure: the time zone's rules are data of the machine, or of the `tzdata` package.

    Args:
        policy: Whose zone, freezes and quiet times count.
        now: An aware time, in any zone.

    Returns:
        "frozen until 2027-01-04 00:00 Europe/Berlin: year end"; None when an advance may happen.

    Raises:
        NaiveTime: `now` has no zone.
    """
    holds = blocked(zone_named(policy.zone), policy.freezes, policy.quiet, now)
    return None if holds is None else holds[1]


def next_free(policy: Policy, now: datetime) -> datetime | None:
    """The first time from `now` on at which the calendars hold nothing, in UTC.

    Returns:
        `now` itself when it is free; None when the next 400 days have no free moment.

    Raises:
        NaiveTime: `now` has no zone.
    """
    return free_from(zone_named(policy.zone), policy.freezes, policy.quiet, now)
