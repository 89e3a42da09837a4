"""How verdicts look, and pages made of parts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.output import facts, listing

if TYPE_CHECKING:
    from rollout.evidence.verdict import Finding

_STYLES = {"pass": "green", "regress": "bold red", "error": "bold red"}


BAR = 10
"""Cells of a bar."""


def findings_of(
    findings: "Sequence[Finding]", needs: "Sequence[tuple[str, str]]" = ()
) -> list[RenderableType]:
    """What is shown, with a bar of how far each proof is; then what every other test says.

    Args:
        findings: Of the judgement.
        needs: What has to happen before the next step; of a proof it also says how long.
    """
    from rollout.pilot.shown import shown

    if not findings:
        return []
    proofs, longer = shown(findings), dict(needs)
    told = {one.metric for one in proofs}
    rows = [
        (f"{bar(one.share)} {one.word}", longer.get(one.metric, one.sentence)) for one in proofs
    ]
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


def page(*parts: "RenderableType | list[RenderableType] | None") -> RenderableType:
    """Parts below each other, with an empty line between; None and empty ones are left out."""
    shown: list[RenderableType] = []
    for part in parts:
        if not part:
            continue
        shown += [Text("")] if shown else []
        shown += part if isinstance(part, list) else [part]
    return Group(*shown)
