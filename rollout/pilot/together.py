"""Members of a cohort that are on trial at once are one pilot: one budget, one proof.

Ten pipelines of 100 jobs a day, each with a budget of its own, could cost ten times what one
pilot of 1,000 may, and each would prove less by itself. So the budget is that of their traffic
together, and what a step has to show is counted over all members that stand at its scope. Each
member is still reverted by its own tests: a harm in one is not hidden by the nine others.

All members at a scope split their jobs alike, so adding their counts up compares like with like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rollout.evidence.counts import NO_COUNTS, Counts
from rollout.evidence.stored import Json
from rollout.pilot.totals import NO_TOTALS, Totals, totals_from_json, totals_json
from rollout.policy.way import Baseline


@dataclass(frozen=True, slots=True)
class Together:
    """What members of a cohort share, the one that is judged among them.

    Attributes:
        members: How many are on trial.
        baseline: Jobs a week of all of them, and how often legacy fails these.
        at_scope: How many of them stand at the scope that is judged.
        totals: Finished jobs of those, each since its own step began.
    """

    members: int
    baseline: Baseline
    at_scope: int
    totals: Totals = NO_TOTALS

    @property
    def words(self) -> str:
        """Whose numbers these are."""
        beside = "" if self.at_scope == self.members else f", {self.at_scope} of them at this scope"
        return f"{self.members} members of its cohort together{beside}"

    def to_json(self) -> Json:
        """Give a plain object."""
        return {
            "members": self.members,
            "baseline": asdict(self.baseline),
            "at_scope": self.at_scope,
            "totals": totals_json(self.totals),
        }


def together_from_json(payload: Mapping[str, Any]) -> Together:
    """Read what `Together.to_json` gave; raises KeyError, TypeError, BadCounts."""
    return Together(
        payload["members"],
        Baseline(**payload["baseline"]),
        payload["at_scope"],
        totals_from_json(payload["totals"]),
    )


def all_of(baselines: Sequence[Baseline]) -> Baseline:
    """Give the traffic of several pipelines as that of one; at least one of them has jobs."""
    jobs = sum(one.jobs_a_week for one in baselines)
    failed = sum(one.jobs_a_week * one.rate_failed for one in baselines)
    return Baseline(jobs, failed / jobs)


def added(totals: Sequence[Totals]) -> Totals:
    """Add the totals of members that stand at one scope up.

    A spread beyond chance counts by the jobs that have it: variances of independent pipelines add.
    """

    def jobs(pick: str) -> Counts:
        return sum((getattr(one, pick) for one in totals), NO_COUNTS)

    def spread(counts: str, phi: str) -> float:
        weights: list[int] = [getattr(one, counts).n_concurrent for one in totals]
        spreads: list[float] = [getattr(one, phi) for one in totals]
        if not sum(weights):
            return 1.0
        return sum(w * x for w, x in zip(weights, spreads, strict=True)) / sum(weights)

    return Totals(
        jobs("failures"),
        jobs("median"),
        jobs("tail"),
        spread("failures", "phi_failures"),
        spread("median", "phi_median"),
        spread("tail", "phi_tail"),
        sum(one.both_failed for one in totals),
        sum(one.unjudged for one in totals),
    )
