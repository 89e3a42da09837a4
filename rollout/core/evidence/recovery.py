"""Does the concurrent path heal as fast as legacy after the same fault?

Drills come in pairs: one fault, injected back to back on both paths, in random order. Under H0 a
log ratio is as likely to be positive as negative, so flipping signs gives an exact test.

Source: Fisher's sign-flip test, as in `scipy.stats.permutation_test`; evidence method, section 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, isfinite, log
from typing import Any

import numpy as np

from rollout.core.evidence.detectable import smallest
from rollout.core.evidence.drill_pair import DrillPair
from rollout.core.evidence.errors import BadDuration, BadRate
from rollout.core.evidence.verdict import Finding, Verdict

PAIRS_MIN = 6
"""Five pairs cannot pass: the smallest p is 1/32."""

P_LIMIT = 0.025
"""A p-value at or under this passes, per look."""

RESAMPLES_MAX = 2**14 - 1
"""Up to 13 pairs every flip is tried, so the test is exact; beyond, the latest 13 pairs count."""

PAIRS_EXACT_MAX = 13

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
    from scipy.stats import permutation_test  # a second to load, and most questions need none

    if len(differences) == 1:  # scipy needs two samples; one pair has two flips
        return 0.5 if differences[0] < 0 else 1.0

    def mean(sample: Any, axis: int) -> Any:
        return np.mean(sample, axis=axis)

    tested = permutation_test(
        (np.asarray(differences, dtype=float),),
        mean,
        permutation_type="samples",
        alternative="less",
        n_resamples=RESAMPLES_MAX,
        vectorized=True,
    )
    return float(tested.pvalue)


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
        raise BadRate("a recovery ratio must be >= 1", ratio, "take it from margin_for(scope_bp)")
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
