"""How verdicts, a situation and the way back look: for people and for scripts."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.output import at_text, facts, listing, percent

if TYPE_CHECKING:
    from rollout.evidence.verdict import Finding
    from rollout.pilot.situation import Situation

_SPREAD_TOLD = 1.5
"""A spread over routing keys, or between hours, that is told; under it it changes little."""

_STYLES = {"pass": "green", "regress": "bold red", "error": "bold red"}


BAR = 10
"""Cells of a bar."""


def findings_of(findings: "Sequence[Finding]") -> list[RenderableType]:
    """What is shown, with a bar of how far each proof is; then what every test says."""
    from rollout.pilot.shown import shown

    if not findings:
        return []
    proofs = shown(findings)
    told = {one.metric for one in proofs}
    rows = [(f"{bar(one.share)} {one.metric}", one.sentence) for one in proofs]
    others = [
        (one.metric, Text(one.sentence, _STYLES.get(one.verdict.value, "")))
        for one in findings
        if one.metric not in told
    ]
    return [facts([*rows, *others])]


def bar(share: float) -> str:
    """How far a proof is, in cells."""
    full = int(share * BAR)
    return "#" * full + "." * (BAR - full)


def statistics_of(findings: "Sequence[Finding]") -> list[RenderableType]:
    """Every verdict as a table of its numbers, for who wants them."""
    if not findings:
        return []
    rows = [
        (
            one.metric,
            one.verdict.value,
            number(one.value),
            number(one.limit),
            one.n_concurrent,
            one.n_legacy,
            "-" if one.detectable is None else number(one.detectable),
        )
        for one in findings
    ]
    head = ("test", "verdict", "value", "limit", "n new", "n old", "shows from")
    return [Text("statistics", "bold"), listing(head, rows, 7)]


def number(value: float | None) -> str:
    """A statistic in four digits; "-" when there is none."""
    return "-" if value is None else f"{value:.4g}"


def notes_of(seen: "Situation") -> list[tuple[str, str]]:
    """What the numbers do not say by themselves."""
    totals, rows = seen.totals, []
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
    if seen.design_effect >= _SPREAD_TOLD:
        rows.append(
            (
                "routing keys",
                f"jobs share keys: {seen.design_effect:.3g} of them are worth one in the check of "
                "the split, and the paths may differ by who uses them",
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
    if not seen.thresholds_known:
        rows.append(("slow", "legacy has not shown yet what is slow: cycle times are not judged"))
    return rows


def stands(seen: "Situation") -> str:
    """Where the sub-pipeline stood: stage, scope, step, looks."""
    state = seen.state
    flags = [word for word, on in (("KILLED", state.killed), ("FROZEN", state.frozen)) if on]
    words = ", ".join([f"stage {state.stage}", *flags])
    return (
        f"{words}, scope {percent(state.scope_bp)} ({state.scope_bp} bp), revision "
        f"{state.revision}; step {seen.step} since {at_text(seen.began_at)}, "
        f"{seen.looks} looks taken"
    )


def way_back_of(
    seen: "Situation", described: str, not_ready: Sequence[str], holdback_bp: int
) -> str:
    """Whether a revert now would be carried by legacy, with its numbers."""
    one = seen.way_back
    age = "never" if one.success_age_s is None else f"{one.success_age_s:.0f} s ago"
    word = "READY" if not not_ready else "NOT READY"
    return (
        f"{word}: {described}. Shown {_rate(one.capacity_per_s)}, arriving "
        f"{_rate(one.arrival_per_s)}, {one.backlog} waiting; last success {age}; holdback "
        f"{percent(holdback_bp)}"
    )


def _rate(per_s: float | None) -> str:
    return "unknown" if per_s is None else f"{per_s:.3g} jobs/s"


def values_of_situation(seen: "Situation") -> dict[str, Any]:
    """What scripts read about a situation beside the findings."""
    totals = seen.totals
    return {
        "step": seen.step,
        "began_at": seen.began_at,
        "looks": seen.looks,
        "both_failed": totals.both_failed,
        "unjudged": totals.unjudged,
        "design_effect": seen.design_effect,
        "phi": {
            "failures": totals.phi_failures,
            "median": totals.phi_median,
            "tail": totals.phi_tail,
        },
        "admitted": {
            "concurrent": seen.evidence.admitted_concurrent,
            "legacy": seen.evidence.admitted_legacy,
        },
        "thresholds_known": seen.thresholds_known,
        "way_back": {**asdict(seen.way_back), "growth_per_s": seen.way_back.growth_per_s},
        "cooldown_until": seen.cooldown_until,
        "held_by_fleet": seen.held,
    }


def page(*parts: "RenderableType | list[RenderableType] | None") -> RenderableType:
    """Parts below each other, with an empty line between; None and empty ones are left out."""
    shown: list[RenderableType] = []
    for part in parts:
        if not part:
            continue
        shown += [Text("")] if shown else []
        shown += part if isinstance(part, list) else [part]
    return Group(*shown)
