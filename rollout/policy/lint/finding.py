"""What lint says about a policy, and what it is told to say it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rollout.policy import ladder
from rollout.policy.policy import Policy
from rollout.policy.way import Baseline
from rollout.routing.effects import Effects
from rollout.routing.stages import HOLDBACK_BP, ControlState


class Level(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """It cannot work as it is written: something will hold for ever, or mean nothing."""
    WARNING = "warning"
    """It works, at a price that was hardly meant."""
    ADVICE = "advice"
    """It works; somebody may want to know."""


@dataclass(frozen=True, slots=True)
class PolicyFinding:
    """One thing that lint found.

    Attributes:
        level: How much it matters.
        rule: Its name, for scripts.
        sentence: What was found, with the numbers.
        todo: What to do about it.
        subject: The sub-pipeline it is about; None for the default or the whole file.
    """

    level: Level
    rule: str
    sentence: str
    todo: str
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """What arrives at a sub-pipeline.

    Attributes:
        jobs_per_week: Jobs of both paths, >= 0.
        error_rate: Share of legacy's jobs that fail, 0..1; None when nobody could tell.
    """

    jobs_per_week: float
    error_rate: float | None


@dataclass(frozen=True, slots=True)
class Subject:
    """A policy and what it is for.

    Attributes:
        policy: The policy in force.
        name: The sub-pipeline; None for the default.
        holdback_bp: As declared in code; the policy's own goes first.
        effects: As declared in code; None when nobody could tell.
        traffic: None when nobody could tell; what the traffic could prove is then not asked.
    """

    policy: Policy
    name: str | None = None
    holdback_bp: int = HOLDBACK_BP
    effects: Effects | None = None
    traffic: Traffic | None = None

    @property
    def kept_bp(self) -> int:
        """The holdback in force, in basis points."""
        own = self.policy.holdback_bp
        return self.holdback_bp if own is None else own

    @property
    def steps_bp(self) -> tuple[int, ...]:
        """The steps as they can be taken."""
        return ladder.steps_bp(self.policy, self.holdback_bp, self.baseline)

    @property
    def baseline(self) -> Baseline | None:
        """The traffic as a plan takes it; None when nobody could tell, or no job comes."""
        seen = self.traffic
        if seen is None or not seen.jobs_per_week:
            return None
        return Baseline(seen.jobs_per_week, seen.error_rate or 0.0)

    @property
    def graduates(self) -> bool:
        """Whether the last step may graduate, which takes the scope to what the holdback leaves."""
        state = ControlState(self.name or "default", holdback_bp=self.kept_bp)
        return bool(self.steps_bp) and ladder.graduates(self.policy, self.steps_bp[-1], state)


def percent(scope_bp: int) -> str:
    """A scope as people say it."""
    return f"{scope_bp / 100:g} %"
