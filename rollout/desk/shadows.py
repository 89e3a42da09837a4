"""What the shadows of a sub-pipeline found: outputs, noise, times, trouble."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from rollout.desk.mask import example_through
from rollout.desk.plain import Json, plain_json
from rollout.errors import BrokerUnreachable
from rollout.evidence.shadow import ShadowEvidence
from rollout.evidence.verdict import Finding
from rollout.routing.clock import Clock
from rollout.routing.stages import ControlState, Stage
from rollout.shadow.ports import MismatchGroup, ShadowAccount, ShadowQueue, Shadows
from rollout.shadow.runs import evidence_of, findings_of, settle


class ControlRow(Protocol):
    """The ledger, as far as one control state is asked for."""

    def control(self, name: str) -> ControlState:
        """Read one control row. Raises UnknownSubPipeline, LedgerUnreachable."""
        ...


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What was found; `waiting` None with `why` when the broker did not answer.

    `limit` is how many groups of mismatches are shown, `shown` the fields of results that anybody
    may see; `revealed` once somebody was noted to look at all of them.
    """

    account: ShadowAccount
    state: ControlState
    waiting: int | None
    why: str
    limit: int
    shown: frozenset[str] = frozenset()
    revealed: bool = False

    @property
    def evidence(self) -> ShadowEvidence:
        """The evidence so far."""
        return evidence_of(self.account)

    @property
    def groups(self) -> list[MismatchGroup]:
        """The largest groups of mismatches."""
        return list(self.account.groups)[: self.limit]

    @property
    def left_out(self) -> int:
        """Groups that are not shown."""
        return len(self.account.groups) - len(self.groups)

    @property
    def headline(self) -> str:
        """Where it stands, in a sentence without the name."""
        findings = findings_of(self.account)
        sentence = f"{findings.pairs} pairs compared, {findings.errors} shadows in trouble"
        return f"stage {self.state.stage}, {sentence}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What is to be known: a word and a sentence each."""
        return list(self._facts())

    def _facts(self) -> Iterator[tuple[str, str]]:
        found, evidence = findings_of(self.account), self.evidence
        yield "outputs", _said(found.outputs)
        yield "times", _said(found.time)
        noise = [
            f"{field.name} ({field.k_old} of {evidence.outputs.old} old against old, "
            f"{field.k_new} of {evidence.outputs.new} new)"
            for field in evidence.outputs.noise
        ]
        yield "noise", "; ".join(noise[:10]) or "none seen: legacy agrees with itself"
        yield "trouble", self._counted("trouble:") or "none"
        yield "not copied", self._counted("shed:") or "none"
        yield "waiting", self._waiting

    def kind_of(self, group: MismatchGroup) -> str:
        """What a group of mismatches is: legacy's own noise, or a difference."""
        if group.path == "legacy":
            return "old against old"
        return "noise" if self.is_noise(group) else "differs"

    def is_noise(self, group: MismatchGroup) -> bool:
        """Whether legacy does not agree with itself in any of a group's fields."""
        noisy = {field.name for field in self.evidence.outputs.noise}
        names = [re.sub(r" \(\w+\)$", "", name) for name in group.signature.split(", ")]
        return all(name in noisy for name in names)

    def _counted(self, prefix: str) -> str:
        found = sorted(self.account.counts.items(), key=lambda item: (-item[1], item[0]))
        named = [
            (what.removeprefix(prefix), runs) for what, runs in found if what.startswith(prefix)
        ]
        return ", ".join(f"{what.replace(':', ' ')} {runs}" for what, runs in named)

    @property
    def _waiting(self) -> str:
        queue = f"{self.account.name}.shadow"
        if self.waiting is None:
            return f"not known: {self.why}"
        text = f"{self.waiting} copies in queue {queue}"
        shadowed = self.state.stage in (Stage.SHADOW, Stage.SPLIT)
        if shadowed and self.waiting and not self.account.counts:
            text += (
                "; no shadow has run yet: set shadow_concurrency for `rollout up`, "
                f"or start `celery -A MODULE worker -Q {queue}`"
            )
        return text

    def to_json(self) -> Json:
        """What scripts read."""
        found, evidence = findings_of(self.account), self.evidence
        return {
            "name": self.account.name,
            "stage": str(self.state.stage),
            "pairs": found.pairs,
            "errors": found.errors,
            "again_errors": evidence.again_errors,
            "outputs": found.outputs.to_json(),
            "time": found.time.to_json(),
            "time_ratio": evidence.time.ratio,
            "again_ratio": evidence.time.place_ratio,
            "counts": dict(sorted(self.account.counts.items())),
            "waiting": self.waiting,
            "fields": [
                {
                    "field": field.name,
                    "new": field.k_new,
                    "old": field.k_old,
                    "noise": field.is_noise,
                }
                for field in evidence.outputs.fields
            ],
            "groups": [self._group_json(group) for group in self.groups],
        }

    def example_of(self, group: MismatchGroup) -> str:
        """What two results held that differ, as far as it may be seen."""
        if self.revealed:
            return group.example
        return example_through(group.signature, group.example, self.shown)

    def _group_json(self, group: MismatchGroup) -> Json:
        return {
            "path": str(group.path),
            "fields": group.signature,
            "noise": self.is_noise(group),
            "runs": group.runs,
            "first_at": plain_json(group.first_at),
            "last_at": plain_json(group.last_at),
            "example_job_id": group.example_job_id,
            "example": self.example_of(group),
        }


def _said(finding: Finding) -> str:
    value = "-" if finding.value is None else f"{finding.value:.3g}"
    return (
        f"{finding.verdict.name}: {finding.sentence} (statistic {value}, limit {finding.limit:g})"
    )


def read_shadows(
    ledger: ControlRow,
    shadows: Shadows,
    queue: ShadowQueue,
    clock: Clock,
    limit: timedelta,
    name: str,
    groups_max: int,
    shown: frozenset[str] = frozenset(),
    *,
    revealed: bool = False,
) -> ShadowReport:
    """Read the account of a sub-pipeline's shadows.

    Runs that were never heard of again are counted as lost first: whoever looks does it.

    Args:
        ledger: The control state.
        shadows: The account.
        queue: Where copies wait.
        clock: Time.
        limit: How long a shadow may run.
        name: The sub-pipeline.
        groups_max: Groups of mismatches to show.
        shown: Fields of results that anybody may see.
        revealed: Show all of them; whoever calls has noted who looks.

    Raises:
        UnknownSubPipeline, LedgerUnreachable: It cannot be read.
    """
    settle(shadows, name, clock.now(), limit)
    account, state = shadows.shadow_account(name), ledger.control(name)
    waiting, why = None, ""
    try:
        waiting = queue.backlog(name)
    except BrokerUnreachable as error:
        why = str(error)
    return ShadowReport(account, state, waiting, why, groups_max, shown, revealed)
