"""Is the split itself what it should be? If not, no comparison of the paths means anything.

The e-value bets that the true share is spread around the intended one like a Beta distribution,
against the share being exact. It can be looked at after every job.

Source: Lindon & Malek, NeurIPS 2022 (arXiv 2011.03567).
"""

from __future__ import annotations

from math import exp, lgamma, log

from rollout.evidence.counts import check_count
from rollout.evidence.errors import BadRate
from rollout.evidence.verdict import Finding, Verdict

LIMIT = 1000.0
"""From here the split counts as broken: a correct one gets there once in 1,000 windows."""

PRIOR_JOBS = 1000.0
"""The Beta prior weighs as much as this many jobs; the vectors fix it."""

_LOG_MAX = 690.0


def log_beta(a: float, b: float) -> float:
    """Give ln B(a, b)."""
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def e_value(n_concurrent: int, n_legacy: int, share: float) -> float:
    """Give the evidence against the intended split.

    Args:
        n_concurrent: Jobs assigned to the concurrent path since the step began.
        n_legacy: Jobs assigned to legacy in the same span.
        share: Intended share of the concurrent path, in (0, 1).

    Returns:
        1 without jobs, under 1 while the split fits, cut at exp(690).

    Raises:
        BadCounts: A number is no count.
        BadRate: `share` is outside (0, 1): with one path there is no split to check.
    """
    check_count("n_concurrent", n_concurrent)
    check_count("n_legacy", n_legacy)
    if not 0.0 < share < 1.0:
        raise BadRate("share must lie in (0, 1)", share, "skip the check when one path has all")
    a, b = PRIOR_JOBS * share, PRIOR_JOBS * (1 - share)
    log_e = log_beta(a + n_concurrent, b + n_legacy) - log_beta(a, b)
    log_e -= n_concurrent * log(share) + n_legacy * log(1 - share)
    return exp(min(log_e, _LOG_MAX))


def finding(n_concurrent: int, n_legacy: int, share: float) -> Finding:
    """Say whether the split is broken: ERROR, PASS, or INSUFFICIENT without jobs."""
    value = e_value(n_concurrent, n_legacy, share)
    total = n_concurrent + n_legacy
    if total == 0:
        verdict, sentence = Verdict.INSUFFICIENT, "No job was admitted in this step."
    else:
        seen = f"{n_concurrent / total:.2%} of {total} jobs were assigned to the concurrent path"
        broken = value >= LIMIT
        verdict = Verdict.ERROR if broken else Verdict.PASS
        fits = "so routing or counting is broken" if broken else "which fits"
        sentence = f"{seen}, {share:.2%} were intended, {fits}."
    return Finding("sample_ratio", verdict, value, LIMIT, n_concurrent, n_legacy, None, sentence)
