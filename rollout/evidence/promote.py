"""All conditions of one promotion together: nothing missing, nothing worse, nothing broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rollout.evidence.looks import LOOKS_MAX
from rollout.evidence.verdict import Finding, Verdict

FULL_DAYS_MIN = 7
"""A step must have seen every weekday."""

HARM_MAX = 20.0
"""A harm statistic from here on is no revert yet, and no time to grow."""


def _unproven(metric: str, finding: Finding) -> str:
    return finding.sentence


def _leans(metric: str, statistic: float) -> str:
    return f"{LEANS.get(metric, metric)} lean towards harm: too little to revert, too much to grow."


LEANS = {
    "error_rate": "Failures",
    "fast_path": "Failures",
    "cycle_time": "Cycle times",
    "recovery_watch": "Recoveries",
}
"""What a revert test looks at, in a person's word."""


@dataclass(frozen=True, slots=True)
class Words:
    """How a condition that does not hold is said; the numbers stand in the findings.

    Attributes:
        unproven: Of a proof that does not pass.
        leans: Of a revert test that is past `HARM_MAX`.
    """

    unproven: Callable[[str, Finding], str] = _unproven
    leans: Callable[[str, float], str] = _leans


PLAIN = Words()
"""As people read it at three in the morning: no statistic."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether to promote, and every reason why not.

    Attributes:
        promote: True only when `reasons` is empty.
        person: The looks of this step are used up: a person decides.
        reasons: One sentence for each condition that does not hold.
    """

    promote: bool
    person: bool
    reasons: tuple[str, ...]


def decide(
    full_days: int,
    looks: int,
    proofs: Mapping[str, Finding],
    harm: Mapping[str, float],
    sample_ratio: Finding,
    *,
    needed: Sequence[str],
    days_min: int = FULL_DAYS_MIN,
    looks_max: int = LOOKS_MAX,
    words: Words = PLAIN,
) -> Answer:
    """Say whether a step may be promoted.

    Args:
        full_days: Whole days since the step began.
        looks: Looks taken at this step, this one included.
        proofs: The weekly findings by metric; one that is missing holds.
        harm: The statistic of every revert test by metric; empty means none is running, holds.
        sample_ratio: The check of the split.
        needed: The proofs that are asked for, by metric; without any nothing is proven.
        days_min: Whole days a step needs.
        looks_max: Looks a step gets.
        words: How it is said.

    Returns:
        Promote only when every condition holds; otherwise each one that does not.
    """
    reasons = []
    if full_days < days_min:
        reasons.append(f"{full_days} full days in this step, {days_min} are needed.")
    person = looks > looks_max
    if person:
        reasons.append(f"{looks_max} looks at this step are used up; a person has to decide.")
    for metric in needed:
        found = proofs.get(metric)
        if found is None:
            reasons.append(f"{metric} was not measured.")
        elif found.verdict is not Verdict.PASS:
            reasons.append(words.unproven(metric, found))
    if not needed:
        reasons.append("No proof is asked for, so nothing is proven.")
    if not harm:
        reasons.append("No revert test is running.")
    for metric, statistic in harm.items():
        # Written so that NaN holds as well.
        if not statistic < HARM_MAX:
            reasons.append(words.leans(metric, statistic))
    if sample_ratio.verdict is not Verdict.PASS:
        reasons.append(words.unproven("sample_ratio", sample_ratio))
    return Answer(not reasons, person, tuple(reasons))
