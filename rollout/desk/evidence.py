"""A situation in sentences and for scripts: where a trial stood, what its numbers do not say."""

from collections.abc import Sequence
from dataclasses import asdict

from rollout.desk.plain import Json, plain_json
from rollout.desk.text import at_text, percent
from rollout.evidence.verdict import Finding, Verdict
from rollout.figures import figures_text
from rollout.pilot.situation import Situation

_SPREAD_TOLD = 1.5
"""A spread over routing keys, or between hours, that is told; under it it changes little."""


def worst_first(finding: Finding) -> int:
    """The order in which verdicts are told: what regresses, what went wrong, what is not known."""
    order = (Verdict.REGRESS, Verdict.ERROR, Verdict.INSUFFICIENT, Verdict.PASS)
    return order.index(finding.verdict)


def notes_of(situation: Situation) -> list[tuple[str, str]]:
    """What the numbers do not say by themselves: a word and a sentence each."""
    totals, rows = situation.totals, []
    if totals.both_failed:
        rows.append(
            (
                "both failed",
                f"{totals.both_failed} jobs failed on both paths: their input is to blame, and "
                "they count as failures, as legacy's own do",
            )
        )
    if totals.unjudged:
        rows.append(
            ("unjudged", f"{totals.unjudged} jobs say nothing about a path: moved by a kill, a gate"
             " or a person")
        )  # fmt: skip
    if situation.design_effect >= _SPREAD_TOLD:
        rows.append(
            (
                "routing keys",
                f"jobs share keys: {situation.design_effect:.3g} of them are worth one in a check "
                "of the split, and paths may differ by who uses them",
            )
        )
    phi = max(totals.phi_failures, totals.phi_median, totals.phi_tail)
    if phi >= _SPREAD_TOLD:
        rows.append(
            (
                "hours",
                f"the paths differ {phi:.3g} times more from hour to hour than chance allows; the "
                "scores ask for that many times the jobs",
            )
        )
    if not situation.thresholds_known:
        rows.append(("slow", "legacy has not shown yet what is slow: cycle times are not judged"))
    return rows


def stands(situation: Situation) -> str:
    """Where the sub-pipeline stood: stage, scope, step, looks."""
    state = situation.state
    flags = [word for word, on in (("KILLED", state.killed), ("FROZEN", state.frozen)) if on]
    words = ", ".join([f"stage {state.stage}", *flags])
    return (
        f"{words}, scope {percent(state.scope_bp)} ({state.scope_bp} bp), revision "
        f"{state.revision}; step {situation.step} since {at_text(situation.began_at)}, "
        f"{situation.looks} looks taken"
    )


def way_back_of(
    situation: Situation, described: str, not_ready: Sequence[str], holdback_bp: int
) -> str:
    """Whether a revert now would be carried by legacy, with its numbers."""
    one = situation.way_back
    age = "never" if one.success_age_s is None else f"{one.success_age_s:.0f} s ago"
    # What a revert would do to the backlog is no answer while something else stands in its way.
    sentence = f"READY: {described}." if not not_ready else f"NOT READY: {' '.join(not_ready)}"
    return (
        f"{sentence} Shown {_rate(one.capacity_per_s)}, arriving "
        f"{_rate(one.arrival_per_s)}, {one.backlog} waiting; last success {age}; holdback "
        f"{percent(holdback_bp)}"
    )


def _rate(per_s: float | None) -> str:
    return "unknown" if per_s is None else f"{figures_text(per_s)} jobs/s"


def situation_json(situation: Situation) -> Json:
    """What scripts read about a situation beside its findings."""
    totals = situation.totals
    return {
        "step": situation.step,
        "began_at": situation.began_at.isoformat(),
        "looks": situation.looks,
        "both_failed": totals.both_failed,
        "unjudged": totals.unjudged,
        "design_effect": situation.design_effect,
        "phi": {
            "failures": totals.phi_failures,
            "median": totals.phi_median,
            "tail": totals.phi_tail,
        },
        "admitted": {
            "concurrent": situation.evidence.admitted_concurrent,
            "legacy": situation.evidence.admitted_legacy,
        },
        "thresholds_known": situation.thresholds_known,
        "way_back": {**asdict(situation.way_back), "growth_per_s": situation.way_back.growth_per_s},
        "cooldown_until": plain_json(situation.cooldown_until),
        "held_by_fleet": situation.held,
    }
