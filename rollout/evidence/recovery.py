"""Does the concurrent path heal as fast as legacy after the same fault?

Drills come in pairs: one fault, injected back to back on both paths, in random order. Under H0 a
log ratio is as likely to be positive as negative, so flipping signs gives an exact test.

It is worked out here and not by `scipy.stats.permutation_test`, which a test holds it to: scipy
takes 20 to 80 ms for 13 pairs, and each decision of the controller asks some twenty times.

Source: Fisher's sign-flip test; evidence method, section 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import exp, isfinite, log

import numpy as np
import numpy.typing as npt

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
    seen = np.asarray(differences, dtype=float)
    sums = _flips(seen.size) @ seen
    # A sum that only rounding keeps apart from the one seen is as large as it.
    tie = 100 * np.finfo(float).eps * np.abs(seen).sum()
    return float(np.mean(sums <= seen.sum() + tie))


@cache
def _flips(count: int) -> npt.NDArray[np.float64]:
    """Every row of `count` signs."""
    bits = np.arange(2**count)[:, np.newaxis] >> np.arange(count)
    return np.where(bits & 1, -1.0, 1.0)


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
