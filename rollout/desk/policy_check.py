"""What a check of the policies found: wrong lines, contradictions, steps nobody can prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rollout.desk.plain import Json, plain_json
from rollout.desk.text import span_text
from rollout.errors import RolloutError
from rollout.policy.check import (
    EARLY,
    Assumed,
    Checked,
    Declarations,
    Known,
    check_policies,
    read_known,
)
from rollout.policy.policy import Policies

LEVELS = ("error", "warning", "advice")
"""How much a finding matters, the worst first."""

_WORDS = {"advice": ("piece of advice", "pieces of advice")}


@dataclass(frozen=True, slots=True)
class PolicyNote:
    """One finding of a check; `sub_pipeline` None concerns the default or all together."""

    level: str
    rule: str
    sub_pipeline: str | None
    sentence: str
    todo: str


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    """What a check found; with wrong lines nothing else was looked at."""

    checked: Checked
    wrong: tuple[RolloutError, ...] = ()
    name: str | None = None

    @property
    def notes(self) -> list[PolicyNote]:
        """Every finding, wrong lines first."""
        lines = [
            PolicyNote("error", "wrong_line", None, one.problem, one.hint) for one in self.wrong
        ]
        return lines + [
            PolicyNote(str(one.level), one.rule, one.subject, one.sentence, one.todo)
            for one in self.checked.findings
        ]

    @property
    def fine(self) -> bool:
        """Whether there is no error."""
        return all(one.level != "error" for one in self.notes)

    @property
    def traffic(self) -> list[str]:
        """What it was sized with, in sentences."""
        checked = self.checked
        sized = [
            f"{name}: {one.jobs_per_week:,.0f} jobs a week, {one.error_rate:.2%} of legacy's fail"
            for name, one in checked.traffic.items()
        ]
        early = [
            f"{name}: {span_text(span)} of traffic are too early to size; look again after "
            f"{span_text(EARLY)}, or give --jobs-per-week and --error-rate"
            for name, span in checked.early.items()
        ]
        unknown = [
            f"{name}: none of its jobs has finished yet, so nothing is sized; give "
            "--jobs-per-week and --error-rate"
            for name in self._unknown
        ]
        return [*sized, *early, *unknown]

    @property
    def _unknown(self) -> list[str]:
        """Declared names of which no job has finished."""
        states = self.checked.known.states or {}
        told = (*self.checked.traffic, *self.checked.early)
        return [name for name in states if name not in told and self.name in (None, name)]

    @property
    def sum(self) -> str:
        """How many of each level: "1 error, 2 warnings"."""
        counted, notes = [], self.notes
        for level in LEVELS:
            count = sum(one.level == level for one in notes)
            one, more = _WORDS.get(level, (level, f"{level}s"))
            if count:
                counted.append(f"{count} {one if count == 1 else more}")
        return ", ".join(counted) or "nothing found"

    def to_json(self) -> Json:
        """What scripts read."""
        unanswered = self.checked.known.unanswered
        return {
            "ok": self.fine,
            "findings": [plain_json(one) for one in self.notes],
            "traffic": {
                name: {"jobs_per_week": one.jobs_per_week, "error_rate": one.error_rate}
                for name, one in self.checked.traffic.items()
            },
            "too_early": {name: span.total_seconds() for name, span in self.checked.early.items()},
            "ledger": None if unanswered is None else str(unanswered),
        }


def read_policy_check(
    parsed: tuple[Policies, Sequence[RolloutError]],
    ledger: Declarations,
    name: str | None,
    assumed: Assumed,
    now: datetime,
) -> PolicyCheck:
    """Look for contradictions and for steps that can never be proved.

    A person who has said all about the traffic may have no ledger: a policy is checked in CI, too.

    Args:
        parsed: The policies, and every line that is wrong.
        ledger: Asked unless all is assumed or a line is wrong.
        name: One sub-pipeline; None for all.
        assumed: Traffic that a person states.
        now: Aware time.

    Raises:
        UnknownSubPipeline: Neither a policy nor the ledger knows the name.
    """
    policies, wrong = parsed
    if wrong:
        return PolicyCheck(Checked((), {}, Known()), tuple(wrong))
    known = Known() if assumed.complete else read_known(ledger, now, name)
    return PolicyCheck(check_policies(policies, known, name, assumed, now), name=name)
