"""How verdicts look, and pages made of parts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.output import facts, listing

if TYPE_CHECKING:
    from rollout.evidence.verdict import Finding

_STYLES = {"pass": "green", "regress": "bold red", "error": "bold red"}


def findings_of(findings: "Sequence[Finding]") -> list[RenderableType]:
    """Every verdict: a table of its numbers, then each sentence."""
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
    said = [
        (one.metric, Text(one.sentence, _STYLES.get(one.verdict.value, ""))) for one in findings
    ]
    return [listing(head, rows, 7), Text(""), facts(said)]


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
