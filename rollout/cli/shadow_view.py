"""How a report on shadows looks: for people and for scripts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.output import facts, listing, plain
from rollout.evidence.shadow import ShadowEvidence
from rollout.evidence.verdict import Finding
from rollout.routing.stages import ControlState, Stage
from rollout.shadow.ports import MismatchGroup, ShadowAccount
from rollout.shadow.runs import evidence_of, findings_of


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is to show; `waiting` None with `why` when the broker did not answer."""

    account: ShadowAccount
    state: ControlState
    waiting: int | None
    why: str
    limit: int

    @property
    def evidence(self) -> ShadowEvidence:
        """The evidence so far."""
        return evidence_of(self.account)

    @property
    def groups(self) -> list[MismatchGroup]:
        """The largest groups of mismatches."""
        return list(self.account.groups)[: self.limit]


def is_noise(group: MismatchGroup, evidence: ShadowEvidence) -> bool:
    """Whether legacy does not agree with itself in any of a group's fields."""
    noisy = {field.name for field in evidence.outputs.noise}
    names = [re.sub(r" \(\w+\)$", "", name) for name in group.signature.split(", ")]
    return all(name in noisy for name in names)


def render(shown: Shown) -> RenderableType:
    """The report for people."""
    name = shown.account.name
    found = findings_of(shown.account)
    title = Text.assemble((plain(name), "bold"), f": stage {shown.state.stage}, ")
    title.append(f"{found.pairs} pairs compared, {found.errors} shadows in trouble")
    parts: list[RenderableType] = [title, facts(_lines(shown))]
    groups = shown.groups
    if groups:
        parts += [Text(""), Text("mismatches, one line for each cause", "bold"), _table(shown)]
    if len(shown.account.groups) > len(groups):
        parts.append(
            Text(f"and {len(shown.account.groups) - len(groups)} more; --limit shows them")
        )
    return Group(*parts)


def _lines(shown: Shown) -> Iterator[tuple[str, str]]:
    found, evidence = findings_of(shown.account), shown.evidence
    yield "outputs", _said(found.outputs)
    yield "times", _said(found.time)
    noise = [
        f"{field.name} ({field.k_old} of {evidence.outputs.old} old against old, "
        f"{field.k_new} of {evidence.outputs.new} new)"
        for field in evidence.outputs.noise
    ]
    yield "noise", "; ".join(noise[:10]) or "none seen: legacy agrees with itself"
    yield "trouble", _counted(shown.account, "trouble:") or "none"
    yield "not copied", _counted(shown.account, "shed:") or "none"
    yield "waiting", _waiting(shown)


def _said(finding: Finding) -> str:
    value = "-" if finding.value is None else f"{finding.value:.3g}"
    return (
        f"{finding.verdict.name}: {finding.sentence} (statistic {value}, limit {finding.limit:g})"
    )


def _counted(account: ShadowAccount, prefix: str) -> str:
    found = sorted(account.counts.items(), key=lambda item: (-item[1], item[0]))
    named = [(what.removeprefix(prefix), runs) for what, runs in found if what.startswith(prefix)]
    return ", ".join(f"{what.replace(':', ' ')} {runs}" for what, runs in named)


def _waiting(shown: Shown) -> str:
    queue = f"{shown.account.name}.shadow"
    if shown.waiting is None:
        return f"not known: {shown.why}"
    text = f"{shown.waiting} copies in queue {queue}"
    shadowed = shown.state.stage in (Stage.SHADOW, Stage.SPLIT)
    if shadowed and shown.waiting and not shown.account.counts:
        text += (
            "; no shadow has run yet: set shadow_concurrency for `rollout up`, "
            f"or start `celery -A MODULE worker -Q {queue}`"
        )
    return text


def _table(shown: Shown) -> RenderableType:
    rows = []
    for group in shown.groups:
        kind = "noise" if is_noise(group, shown.evidence) else "differs"
        if group.path == "legacy":
            kind = "old against old"
        rows.append((group.runs, kind, group.signature, group.example_job_id, group.example))
    return listing(("runs", "what", "fields", "example job", "example"), rows, whole=2)


def as_values(shown: Shown) -> dict[str, Any]:
    """The report for scripts."""
    found, evidence = findings_of(shown.account), shown.evidence
    return {
        "name": shown.account.name,
        "stage": str(shown.state.stage),
        "pairs": found.pairs,
        "errors": found.errors,
        "again_errors": evidence.again_errors,
        "outputs": found.outputs.to_json(),
        "time": found.time.to_json(),
        "time_ratio": evidence.time.ratio,
        "again_ratio": evidence.time.place_ratio,
        "counts": dict(sorted(shown.account.counts.items())),
        "waiting": shown.waiting,
        "fields": [
            {
                "field": field.name,
                "new": field.k_new,
                "old": field.k_old,
                "noise": field.is_noise,
            }
            for field in evidence.outputs.fields
        ],
        "groups": [
            {
                "path": str(group.path),
                "fields": group.signature,
                "noise": is_noise(group, evidence),
                "runs": group.runs,
                "first_at": group.first_at,
                "last_at": group.last_at,
                "example_job_id": group.example_job_id,
                "example": group.example,
            }
            for group in shown.groups
        ],
    }
