"""Does the concurrent path heal as fast as legacy after the same fault?

Drills come in pairs: one fault, injected back to back on both paths, in random order. Under H0 a
log ratio is as likely to be positive as negative, so flipping signs gives an exact test.

It is worked out here and not by `scipy.stats.permutation_test`, which a test holds it to: scipy
takes 20 to 80 ms for 13 pairs, and each decision of the controller asks some twenty times. Half of
the pairs have at most 2^7 sums, so that sorting the sums of one half and looking up those of the
other counts all 2^13 flips in well under a millisecond.

Source: Fisher's sign-flip test; evidence method, section 6.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import exp, fsum, isfinite, log
from sys import float_info

from rollout.evidence.detectable import smallest
from rollout.evidence.drill_pair import DrillPair
from rollout.evidence.errors import BadDuration, BadRate
from rollout.evidence.verdict import Finding, Verdict

PAIRS_MIN = 6
"""Five pairs cannot pass: the smallest p is 1/32."""

P_LIMIT = 0.025
"""A p-value at or under this passes, per look."""

PAIRS_EXACT_MAX = 13
"""Up to 13 pairs every flip is tried, so the test is exact; beyond, the latest 13 pairs count."""

RATIO_MAX = 100.0
"""Ratios of recovery times are looked for up to this."""


def sign_flip(differences: Sequence[float]) -> float:
    """Give the exact one-sided p-value that differences lie under 0 by chance alone.

    Args:
        differences: ln(T_concurrent / (m T_legacy)) of each pair, 1..13 of them.

    Returns:
        In (0, 1]; small when the concurrent path is faster than m times legacy.

    Raises:
        BadDuration: None, too many, or not finite.
    """
    if not 1 <= len(differences) <= PAIRS_EXACT_MAX or not all(map(isfinite, differences)):
        raise BadDuration(
            f"sign_flip needs 1..{PAIRS_EXACT_MAX} finite differences",
            list(differences),
            "leave out pairs that were not measured",
        )
    # A sum that only rounding keeps apart from the one seen is as large as it.
    tie = 100 * float_info.epsilon * fsum(map(abs, differences))
    limit = fsum(differences) + tie
    half = len(differences) // 2
    sums = sorted(_flipped_sums(differences[half:]))
    as_low = sum(bisect_right(sums, limit - one) for one in _flipped_sums(differences[:half]))
    return as_low / float(2 ** len(differences))


def _flipped_sums(differences: Sequence[float]) -> list[float]:
    """Give the sum under each choice of signs."""
    sums = [0.0]
    for one in differences:
        sums = [total + sign for total in sums for sign in (one, -one)]
    return sums


def finding(pairs: Sequence[DrillPair], ratio: float) -> Finding:
    """Score the drills of a step.

    Args:
        pairs: In order; the caller passes those of the last four weeks of the same build.
        ratio: The m of the ladder: how many times slower than legacy may still pass, >= 1.

    Returns:
        PASS on at least 6 comparable pairs with p <= .025, else INSUFFICIENT.

    Raises:
        BadRate: `ratio` is under 1.
    """
    if not 1.0 <= ratio < float("inf"):
        raise BadRate("a recovery ratio must be >= 1", ratio, "take it from the policy's margins")
    used = [pair for pair in pairs if not pair.both_censored][-PAIRS_EXACT_MAX:]
    p_value = None
    if len(used) < PAIRS_MIN:
        verdict = Verdict.INSUFFICIENT
        sentence = f"{len(used)} comparable drills, {PAIRS_MIN} are needed."
    else:
        p_value = sign_flip([log(p.concurrent_s / (ratio * p.legacy_s)) for p in used])
        verdict = Verdict.PASS if p_value <= P_LIMIT else Verdict.INSUFFICIENT
        shown = "show" if verdict is Verdict.PASS else "do not show"
        sentence = (
            f"{len(used)} drills {shown} recovery within {ratio:g} times legacy (p {p_value:.4f})."
        )
    n = len(used)
    return Finding("recovery", verdict, p_value, P_LIMIT, n, n, detectable(used), sentence)


def detectable(pairs: Sequence[DrillPair]) -> float | None:
    """Find the smallest ratio of recovery times that these drills rule out.

    Returns:
        The least m for which the pairs would pass, 1/100..100: the upper end of the exact 97.5 %
        confidence interval of the ratio; None with fewer than 6 pairs, which rule out nothing.
    """
    if len(pairs) < PAIRS_MIN:
        return None
    logs = [log(pair.concurrent_s / pair.legacy_s) for pair in pairs]

    def ruled_out(log_ratio: float) -> bool:
        return sign_flip([x - log_ratio for x in logs]) <= P_LIMIT

    found = smallest(ruled_out, -log(RATIO_MAX), log(RATIO_MAX), halvings=20)
    return None if found is None else exp(found)
