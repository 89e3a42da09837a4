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
from rollout.evidence.margins import LADDER, StepMargin
from rollout.policy.calendars import FRIDAY_AFTERNOON, Freeze, Quiet, blocked, free_from, zone_named
from rollout.routing.stages import BP_ALL

__all__ = [
    "Cohort",
    "Fleet",
    "Freeze",
    "Policies",
    "Policy",
    "Quiet",
    "StepMargins",
    "blocked_by",
    "next_free",
]

PAIRS_COUNTED_MAX = 13
"""Recovery counts the latest 13 drill pairs; a test holds it to `evidence/recovery.py`."""

# Strict: TOML has types, and "7" or true where a number belongs is a slip to be told.
Share = Annotated[int, Field(strict=True, ge=0, le=BP_ALL)]
Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]
Number = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Time = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Chance = Annotated[float, Field(strict=True, gt=0, lt=1, allow_inf_nan=False)]
Ratio = Annotated[float, Field(strict=True, ge=1, allow_inf_nan=False)]
Absolute = Annotated[float, Field(strict=True, ge=0, lt=1, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class StepMargins(BaseModel):
    """What steps up to one scope may be worse by and still be promoted."""

    model_config = _FROZEN

    scope_bp_max: Positive = Field(le=BP_ALL, description="Largest scope of this row.")
    error_ratio: Ratio = Field(description="Concurrent over legacy failure rate.")
    error_absolute: Absolute = Field(description="Added to that: a share of jobs, 0..1.")
    median_shift: Count = Field(description="Buckets of 2.02 % that the median may lie higher.")
    tail_shift: Count = Field(description="The same for the 95th percentile.")
    recovery_ratio: Ratio = Field(description="Concurrent over legacy recovery time.")

    @property
    def margin(self) -> StepMargin:
        """The row as the tests take it."""
        error = Margin(self.error_ratio, self.error_absolute)
        return StepMargin(error, self.median_shift, self.tail_shift, self.recovery_ratio)


DEFAULT_MARGINS = tuple(
    StepMargins(
        scope_bp_max=scope_bp_max,
        error_ratio=row.error.ratio,
        error_absolute=row.error.absolute,
        median_shift=row.median_shift,
        tail_shift=row.tail_shift,
        recovery_ratio=row.recovery_ratio,
    )
    for scope_bp_max, row in LADDER
)
"""The ladder of `rollout/evidence/margins.py`."""


class Policy(BaseModel):
    """One sub-pipeline's policy. Days are policy days of `day_s` seconds."""

    model_config = _FROZEN

    automatic: bool = Field(
        default=True,
        strict=True,
        description="False: the controller judges and says, a person acts.",
    )
    ladder_bp: tuple[Share, ...] = Field(
        default=(100, 200, 400, 800, 1600, 3200, 6400, 9500),
        description="Scopes of the steps in basis points, each larger than the one before.",
    )
    bake_days: Number = Field(default=7.0, description="Least days at a step.")
    day_s: Time = Field(
        default=86_400.0,
        description="Seconds a policy day lasts; a smaller one compresses a rehearsal.",
    )
    looks_max: Positive = Field(default=4, description="Looks at a step; then a person decides.")
    jobs_min: Count = Field(default=0, description="Concurrent jobs a step must have seen.")
    drills_min: Count = Field(
        default=6,
        le=PAIRS_COUNTED_MAX,
        description="Comparable drill pairs a step needs; 0: recovery is not judged.",
    )
    drills_step_min: Count = Field(
        default=1, description="How many of them must have been made at the present step."
    )
    drills_max_age_days: Time = Field(default=28.0, description="Older drill pairs do not count.")
    alpha_error: Chance = Field(
        default=0.003,
        description="Chance of a false revert on the error rate, in 28 days.",
    )
    alpha_cycle: Chance = Field(default=0.003, description="The same on the cycle time.")
    alpha_recovery: Chance = Field(default=0.003, description="The same on the recovery time.")
    alpha_promote: Chance = Field(
        default=0.05,
        description="Chance that a path on the margin passes a metric, all looks together.",
    )
    revert_margin_ratio: Ratio = Field(
        default=1.10,
        description="Concurrent over legacy failure rate that is no regression yet.",
    )
    revert_margin_absolute: Absolute = Field(
        default=0.0005,
        description="Added to that: a share of jobs, 0..1.",
    )
    margins: tuple[StepMargins, ...] = Field(
        default=DEFAULT_MARGINS,
        description="What a step may be worse by and still be promoted.",
    )
    revert_to: Literal["legacy", "previous_step"] = Field(
        default="legacy",
        description="Where a revert goes; `legacy` stays until a person starts again.",
    )
    cooldown_days: Number = Field(
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
        description="Compared shadow pairs before the first step; 0: not asked.",
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
    def _grows(cls, ladder: tuple[int, ...]) -> tuple[int, ...]:
        if not ladder or ladder[0] == 0:
            raise ValueError("a ladder needs a first step above 0")
        for lower, higher in pairwise(ladder):
            if higher <= lower:
                raise ValueError(f"each step must be larger than the one before, {higher} is not")
        return ladder

    @field_validator("margins")
    @classmethod
    def _reaches_all(cls, margins: tuple[StepMargins, ...]) -> tuple[StepMargins, ...]:
        scopes = [row.scope_bp_max for row in margins]
        if scopes != sorted(set(scopes)):
            raise ValueError("the rows must be ordered by scope_bp_max, each once")
        if not scopes or scopes[-1] != BP_ALL:
            raise ValueError(f"the last row must have scope_bp_max = {BP_ALL}")
        return margins

    @field_validator("zone")
    @classmethod
    def _exists(cls, zone: str) -> str:
        zone_named(zone)
        return zone

    def scope_limit_bp(self, holdback_bp: int) -> int:
        """Largest scope that policy and holdback allow; the policy's holdback goes first.

        Args:
            holdback_bp: The one declared in code.
        """
        kept = holdback_bp if self.holdback_bp is None else self.holdback_bp
        return min(self.scope_bp_max, BP_ALL - kept)

    def margins_at(self, scope_bp: int) -> StepMargins:
        """The row of a step; a scope between two rows gets the stricter one.

        Args:
            scope_bp: 1..10000 basis points.
        """
        return next(row for row in self.margins if scope_bp <= row.scope_bp_max)


class Fleet(BaseModel):
    """Limits over all sub-pipelines together."""

    model_config = _FROZEN

    splits_max: Positive | None = Field(default=None, description="Sub-pipelines on trial at once.")
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
    period_days: Time = Field(default=7.0, description="Days between two doublings of the cohort.")

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
    held = blocked(zone_named(policy.zone), policy.freezes, policy.quiet, now)
    return None if held is None else held[1]


def next_free(policy: Policy, now: datetime) -> datetime | None:
    """The first time from `now` on at which the calendars hold nothing, in UTC.

    Returns:
        `now` itself when it is free; None when the next 400 days have no free moment.

    Raises:
        NaiveTime: `now` has no zone.
    """
    return free_from(zone_named(policy.zone), policy.freezes, policy.quiet, now)
