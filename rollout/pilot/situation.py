"""Everything that one decision is made on, as a value that can be stored and judged again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rollout.evidence.counts import NO_COUNTS, Counts
from rollout.evidence.drill_pair import DrillPair
from rollout.evidence.paired_time import SHADOW_TIME, prior_factor
from rollout.evidence.stored import Json
from rollout.evidence.verdict import Finding, Verdict
from rollout.pilot.step import StepEvidence, guard_of
from rollout.pilot.together import Together, together_from_json
from rollout.pilot.totals import NO_TOTALS, Totals, totals_from_json, totals_json
from rollout.policy.policy import Policy
from rollout.policy.way import Baseline
from rollout.routing.stages import ControlState, Stage


@dataclass(frozen=True, slots=True)
class WayBack:
    """Whether legacy could take everything back now.

    Attributes:
        success_age_s: Seconds since legacy last committed a job; None when it never did.
        capacity_per_s: Jobs a second legacy has shown it can carry; None when unknown.
        arrival_per_s: Jobs a second that arrive on both paths; None when unknown.
        backlog: Jobs that wait on legacy now.
    """

    success_age_s: float | None = None
    capacity_per_s: float | None = None
    arrival_per_s: float | None = None
    backlog: int = 0

    @property
    def growth_per_s(self) -> float | None:
        """How fast legacy's backlog would grow after a revert now; negative drains it."""
        if self.capacity_per_s is None or self.arrival_per_s is None:
            return None
        return self.arrival_per_s - self.capacity_per_s


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What the shadow runs of a trial showed, in stage shadow and by sample at its steps.

    `raised` counts shadows of the concurrent path, and runs of legacy again, that raised.
    """

    pairs: int = 0
    errors: int = 0
    findings: tuple[Finding, ...] = ()
    raised: Counts = NO_COUNTS

    def prior(self, since: datetime, now: datetime) -> float:
        """What they say of the first step's cycle time; `since` is when shadow began."""
        found = next((one for one in self.findings if one.metric == SHADOW_TIME), None)
        return prior_factor(found, max(0.0, (now - since).total_seconds()) / 86_400.0)


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of one sub-pipeline at one moment.

    Attributes:
        now: Aware time.
        state: Its control state.
        step: Number of the step, growing with each change of scope or build.
        began_at: When the step began.
        looks: Looks that were taken at it.
        look_at_day: Whole days after `began_at` at which the next look is due.
        evidence: The revert tests.
        rate_legacy: Failure rate of legacy in the last seven days.
        totals: Finished jobs of the step.
        thresholds_known: Whether legacy has shown what is slow.
        design_effect: How many times larger the spread of a share is than if each job were routed
            alone; above 1 where jobs share a routing key.
        pairs: Drills of both paths, oldest first.
        step_pairs: How many of them were made at this step.
        way_back: Readiness of legacy.
        shadowed: What shadow runs showed.
        held: Why the fleet lets nothing advance now.
        cooldown_until: No advance before this, after a revert.
        baseline: Jobs a week, as they come at this step, and legacy's failure rate before the
            trial; None while nobody knows.
        together: What it shares with other members of its cohort that are on trial now; None
            without any.
    """

    now: datetime
    state: ControlState
    step: int
    began_at: datetime
    looks: int
    look_at_day: float
    evidence: StepEvidence
    rate_legacy: float | None = None
    totals: Totals = NO_TOTALS
    thresholds_known: bool = False
    design_effect: float = 1.0
    pairs: tuple[DrillPair, ...] = ()
    step_pairs: int = 0
    way_back: WayBack = WayBack()
    shadowed: Shadowed = Shadowed()
    held: str | None = None
    cooldown_until: datetime | None = None
    baseline: Baseline | None = None
    together: Together | None = None

    @property
    def counted(self) -> Totals:
        """The jobs that an advance is judged by: its own, or those of its cohort's members."""
        return self.totals if self.together is None else self.together.totals

    def to_json(self) -> Json:
        """Give a plain object, from which `situation_from_json` makes the same value."""
        return {
            "now": self.now.isoformat(),
            "state": asdict(self.state),
            "step": self.step,
            "began_at": self.began_at.isoformat(),
            "looks": self.looks,
            "look_at_day": self.look_at_day,
            "evidence": self.evidence.to_json(),
            "rate_legacy": self.rate_legacy,
            "totals": totals_json(self.totals),
            "thresholds_known": self.thresholds_known,
            "design_effect": self.design_effect,
            "pairs": [[one.concurrent_s, one.legacy_s, one.cap_s] for one in self.pairs],
            "step_pairs": self.step_pairs,
            "way_back": asdict(self.way_back),
            "shadowed": {
                "pairs": self.shadowed.pairs,
                "errors": self.shadowed.errors,
                "findings": [one.to_json() for one in self.shadowed.findings],
                "raised": self.shadowed.raised.to_json(),
            },
            "held": self.held,
            "cooldown_until": _text(self.cooldown_until),
            "baseline": None if self.baseline is None else asdict(self.baseline),
            "together": None if self.together is None else self.together.to_json(),
        }


def situation_from_json(payload: Mapping[str, Any], policy: Policy) -> Situation:
    """Read what `Situation.to_json` gave.

    Raises:
        BadState, BadCounts: It is not what this release stores.
    """
    shadowed, together = payload["shadowed"], payload.get("together")
    state = {**payload["state"], "stage": Stage(payload["state"]["stage"])}
    return Situation(
        now=datetime.fromisoformat(payload["now"]),
        state=ControlState(**state),
        step=payload["step"],
        began_at=datetime.fromisoformat(payload["began_at"]),
        looks=payload["looks"],
        look_at_day=payload["look_at_day"],
        evidence=StepEvidence.from_json(payload["evidence"], guard_of(policy)),
        rate_legacy=payload["rate_legacy"],
        totals=totals_from_json(payload["totals"]),
        thresholds_known=payload["thresholds_known"],
        design_effect=payload["design_effect"],
        pairs=tuple(DrillPair(*one) for one in payload["pairs"]),
        step_pairs=payload["step_pairs"],
        way_back=WayBack(**payload["way_back"]),
        shadowed=Shadowed(
            shadowed["pairs"],
            shadowed["errors"],
            tuple(finding_from_json(one) for one in shadowed["findings"]),
            Counts.from_json(shadowed.get("raised", NO_COUNTS.to_json())),
        ),
        held=payload["held"],
        cooldown_until=_time(payload["cooldown_until"]),
        baseline=Baseline(**payload["baseline"]) if payload.get("baseline") else None,
        together=None if together is None else together_from_json(together),
    )


def finding_from_json(payload: Mapping[str, Any]) -> Finding:
    """Read what `Finding.to_json` gave."""
    return Finding(**{**payload, "verdict": Verdict(payload["verdict"])})


def _text(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
