"""What a check of the policies found: wrong lines, contradictions, steps nobody can prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rollout.desk.plain import Json, plain_json
from rollout.desk.text import some, span_text
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
from rollout.policy.tables import named_in

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
    """What a check found; with wrong lines nothing else was looked at.

    Attributes:
        checked: What the rules found.
        wrong: Lines that cannot be read.
        name: The one that was asked about; None for all.
        stated: Whether a person said all about the traffic.
        names: Those that the file names, or the one that was asked about.
    """

    checked: Checked
    wrong: tuple[RolloutError, ...] = ()
    name: str | None = None
    stated: bool = False
    names: tuple[str, ...] = ()

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
            f"{name}: {one.jobs_per_week:,.0f} jobs a week, {_failing(one.error_rate)}"
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
    def unasked(self) -> str | None:
        """What the ledger was to tell and did not; None when it did, or nothing hung on it."""
        unanswered = self.checked.known.unanswered
        if unanswered is None:
            return None
        if not self.stated:
            return f"traffic and declarations are not known: {unanswered}"
        if not self.names:
            return None
        return (
            f"whether there are sub-pipelines named {some(self.names)}, and their holdbacks, is"
            f" not known: {unanswered}"
        )

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
    Where there is one it is asked all the same, for names, holdbacks and effects.

    Args:
        parsed: The policies, and every line that is wrong.
        ledger: Asked unless a line is wrong; for traffic unless all of it is assumed.
        name: One sub-pipeline; None for all.
        assumed: Traffic that a person states.
        now: Aware time.

    Raises:
        UnknownSubPipeline: Neither a policy nor the ledger knows the name.
    """
    policies, wrong = parsed
    if wrong:
        return PolicyCheck(Checked((), {}, Known()), tuple(wrong))
    known = read_known(ledger, now, name, traffic=not assumed.complete)
    names = tuple(named_in(policies)) if name is None else (name,)
    checked = check_policies(policies, known, name, assumed, now)
    return PolicyCheck(checked, name=name, stated=assumed.complete, names=names)


def _failing(rate: float | None) -> str:
    if rate is None:
        return "how many of legacy's fail is not known, sized as if none did; say --error-rate"
    return f"{rate:.2%} of legacy's fail"
