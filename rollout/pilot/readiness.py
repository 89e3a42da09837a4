"""The way back: could legacy take every job, now?

Asked before each advance and shown beside each status, because a revert that drowns legacy is no
revert.
"""

from __future__ import annotations

from rollout.figures import figures_text
from rollout.pilot.situation import WayBack
from rollout.policy.policy import Policy
from rollout.policy.way import Baseline
from rollout.routing.stages import ControlState

GAPS = 5.0
"""Random arrivals leave a gap of five mean ones once in 150: longer, and legacy may be broken."""


def success_age_s_max(policy: Policy, state: ControlState, baseline: Baseline | None) -> float:
    """How old legacy's last success may be: as the policy says, or as its few jobs allow.

    At 90 % of 100 jobs a day legacy commits one in two and a half hours, and is well.
    """
    if baseline is None:
        return policy.legacy_success_age_s_max
    share = 1 - state.scope_bp / 10_000
    jobs = baseline.jobs_a_week * (1 - baseline.rate_failed) * share
    gap_s = 7 * policy.day_s / jobs if jobs > 0 else 0.0
    return max(policy.legacy_success_age_s_max, GAPS * gap_s)


def not_ready(
    way_back: WayBack, state: ControlState, policy: Policy, baseline: Baseline | None = None
) -> tuple[str, ...]:
    """Say what stands in the way of a revert; empty when legacy could take everything.

    Args:
        way_back: What legacy showed.
        state: Its holdback counts as part of the way back.
        policy: How old a success and how small the capacity may be.
        baseline: How many jobs come; None while nobody knows.
    """
    reasons = []
    if min(policy.scope_limit_bp(state.holdback_bp), state.scope_bp_max) >= 10_000:
        reasons.append("Without a holdback legacy runs no job, so nobody knows that it still can.")
    age = way_back.success_age_s
    if age is None:
        reasons.append("Legacy has not committed a job yet.")
    elif not age <= (allowed := success_age_s_max(policy, state, baseline)):
        reasons.append(f"Legacy last committed a job {age:.0f} s ago, {allowed:.0f} s are allowed.")
    if way_back.capacity_per_s is None:
        reasons.append("How much legacy can carry is not known yet.")
    elif way_back.arrival_per_s is None:
        reasons.append("How many jobs arrive is not known yet.")
    elif way_back.capacity_per_s < policy.legacy_headroom_min * way_back.arrival_per_s:
        reasons.append(
            f"Legacy has shown {figures_text(way_back.capacity_per_s)} jobs/s, "
            f"{figures_text(way_back.arrival_per_s)} arrive: after a revert its backlog would grow "
            f"by {figures_text(way_back.growth_per_s or 0)} jobs/s."
        )
    return tuple(reasons)


def describe(way_back: WayBack) -> str:
    """One sentence on what a revert now would do to legacy."""
    growth = way_back.growth_per_s
    if growth is None:
        return "unknown: legacy has not shown yet how much it can carry"
    if growth > 0:
        return f"legacy's backlog would grow by {figures_text(growth)} jobs/s after a revert"
    if way_back.backlog and growth < 0:
        return (
            f"legacy would drain {figures_text(-growth)} jobs/s after a revert, its backlog of "
            f"{way_back.backlog} in {way_back.backlog / -growth:.0f} s"
        )
    return f"legacy could carry everything, with {figures_text(abs(growth))} jobs/s to spare"
