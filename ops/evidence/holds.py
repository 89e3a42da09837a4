"""M16: each missing condition alone holds a step that would otherwise be promoted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ops.evidence.row import Row
from rollout.evidence.counts import Counts
from rollout.evidence.drill_pair import DrillPair
from rollout.evidence.revert_test import Window
from rollout.pilot.judge import judge
from rollout.pilot.judgement import Action
from rollout.pilot.situation import Situation, WayBack
from rollout.pilot.step import StepEvidence, guard_of
from rollout.pilot.totals import Totals
from rollout.policy.policy import Policy
from rollout.policy.way import Baseline
from rollout.routing.stages import ControlState, Stage

NOW = datetime(2026, 11, 10, 9, tzinfo=UTC)
POLICY = Policy()


def _evidence(new: int, old: int, failed: int) -> StepEvidence:
    jobs, slow = Counts(new, failed, old, 0), Counts(new, new // 4, old, old // 2)
    window = Window(jobs, slow, slow, new, old)
    return StepEvidence.fresh(guard_of(POLICY)).observe(window, 10.0, 0.0025, 1.0)


def proven() -> Situation:
    """A step of 25 % at which nothing is missing."""
    slow, late = Counts(20_000, 8_000, 60_000, 30_000), Counts(20_000, 600, 60_000, 3_000)
    return Situation(
        now=NOW,
        state=ControlState("invoices", stage=Stage.SPLIT, scope_bp=2500, revision=1),
        step=4,
        began_at=NOW - timedelta(days=7, minutes=1),
        looks=0,
        look_at_day=7.0,
        evidence=_evidence(125, 375, 0),
        rate_legacy=0.0025,
        totals=Totals(Counts(20_000, 40, 60_000, 150), slow, late),
        thresholds_known=True,
        pairs=tuple(DrillPair(4.0, 8.0, 600.0) for _ in range(6)),
        step_pairs=1,
        way_back=WayBack(5.0, 20.0, 10.0),
        baseline=Baseline(80_000.0, 0.0025),
    )


def row() -> Row:
    """Check M16 through the judgement itself."""
    fine = proven()
    cases = {
        "all fine": fine,
        "no drills": replace(fine, pairs=()),
        "split broken": replace(fine, evidence=_evidence(5000, 5000, 0)),
        "harm >= 20": replace(fine, evidence=_evidence(125, 375, 6)),
        "before bake": replace(fine, began_at=NOW - timedelta(days=6.9)),
        "over the budget": replace(
            fine, totals=replace(fine.totals, failures=Counts(20_000, 100, 60_000, 150))
        ),
        "nothing counted": replace(fine, totals=Totals()),
    }
    harm = max(cases["harm >= 20"].evidence.harm.values())
    seen = {name: float(judge(POLICY, one).action is Action.ADVANCE) for name, one in cases.items()}
    ok = seen["all fine"] == 1.0 and sum(seen.values()) == 1.0 and harm >= 20.0
    text = "no drills, split broken, harm >= 20, before bake: promoted?"
    return Row("M16", text, seen, "always hold (0), while all fine promotes", ok)
