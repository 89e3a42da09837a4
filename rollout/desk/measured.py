"""A test's number and limit as a person on call takes them: how far it is, on how many jobs.

A statistic says nothing by itself: evidence of 0.1 against a limit of 333 is no evidence, and a
score of -1.4 against one of -2.35 is a third of a proof.
"""

from __future__ import annotations

from math import log

from rollout.evidence.verdict import Finding, Verdict
from rollout.figures import figures_text
from rollout.pilot.proofs import RECOVERY
from rollout.pilot.shown import WORDS, shown, word_of

_REVERTS = ("error_rate", "fast_path", "cycle_time", "recovery_watch")
"""Tests that send everything back when they reach their limit; the others call somebody."""

_HEALS = (RECOVERY, "recovery_watch")


def measured(finding: Finding) -> str:
    """What one test says, in one line: what it is about, its sentence, how far, on how many jobs.

    Pure. Evidence is a likelihood ratio that multiplies with each job, so the way to its limit is
    measured in logarithms; of a proof the share of jobs that it takes is told (`pilot.shown`).
    """
    parts = [_sample(finding)]
    if (far := _far(finding)) is not None:
        parts.append(far)
    if finding.metric in WORDS and finding.metric != RECOVERY and finding.detectable is not None:
        points = f"{figures_text(finding.detectable * 100, 2)} points"
        parts.append(f"a rate that is {points} higher is ruled out")
    word = word_of(finding.metric)
    return f"{word[0].upper()}{word[1:]}: {finding.sentence.rstrip('.')} ({'; '.join(parts)})."


def _sample(finding: Finding) -> str:
    if finding.metric in _HEALS:
        word = "recovery" if finding.n_concurrent == 1 else "recoveries"
        return f"{finding.n_concurrent:,} {word}"
    return f"{finding.n_concurrent:,} concurrent and {finding.n_legacy:,} legacy jobs"


def _far(finding: Finding) -> str | None:
    """How far a test is from its limit; None where nothing could be computed."""
    for proof in shown([finding]):
        if finding.verdict is Verdict.PASS:
            return "proven"
        return None if finding.value is None else f"{proof.share:.0%} of the proof"
    reverts = finding.metric in _REVERTS
    if finding.verdict is Verdict.REGRESS:
        return "enough for a revert" if reverts else "enough for an alarm"
    if finding.value is None or finding.limit <= 1.0:
        return None
    share = log(finding.value) / log(finding.limit) if finding.value > 1.0 else 0.0
    where = "to a revert" if reverts else "to an alarm"
    return f"{share:.0%} of the way {where}" if share >= 0.005 else f"no step on the way {where}"
