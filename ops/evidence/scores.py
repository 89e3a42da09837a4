"""`promotion.score` of many totals at once."""

from __future__ import annotations

import numpy as np

from ops.evidence.twin import Floats


def scores(
    k_concurrent: Floats, n_concurrent: Floats, k_legacy: Floats, n_legacy: Floats, margin: float
) -> Floats:
    """Give the score of each; 0, which proves nothing, where it has none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p_concurrent, p_legacy = k_concurrent / n_concurrent, k_legacy / n_legacy
        p_limit = p_legacy + margin
        variance = p_limit * (1 - p_limit) / n_concurrent + p_legacy * (1 - p_legacy) / n_legacy
        z = (p_concurrent - p_limit) / np.sqrt(variance)
    known = (n_concurrent > 0) & (n_legacy > 0) & (p_limit > 0) & (p_limit < 1)
    found: Floats = np.where(known, z, 0.0)
    return found
