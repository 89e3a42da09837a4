"""Each peer's rule on a few minutes that can be counted by hand."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pytest

from rollout.rehearsal import peers
from rollout.rehearsal.peers import Floats, Minutes

Numbers: TypeAlias = Sequence[float] | Floats


def minutes(n: Numbers, k: Numbers, m: Numbers, j: Numbers) -> Minutes:
    """Jobs and failures of both paths, a number a minute."""
    return Minutes(*(np.array(one, dtype=float) for one in (n, k, m, j)))


def test_five_failed_checks_roll_back_however_far_apart() -> None:
    """The fifth minute over 1 % rolls back; four, or a minute at exactly 1 %, do not."""
    n = [100.0] * 12
    bad = [0.0, 2.0, 0.0, 2.0, 1.0, 2.0, 0.0, 2.0, 0.0, 0.0, 2.0, 0.0]
    quiet = [0.0] * 12
    assert peers.FLAGGER.rolls_back(minutes(n, bad, n, quiet)) == 10
    assert peers.FLAGGER.rolls_back(minutes(n[:10], bad[:10], n[:10], quiet[:10])) is None


def test_argo_measures_every_five_minutes() -> None:
    """Four failed spans of five minutes are one too many; a burst inside one is one failure."""
    n, quiet = [20.0] * 25, [0.0] * 25
    bad = [6.0] + [0.0] * 4
    assert peers.ARGO.rolls_back(minutes(n, bad * 4 + [0.0] * 5, n, quiet)) == 19
    assert peers.ARGO.rolls_back(minutes(n, bad * 3 + [0.0] * 10, n, quiet)) is None


def test_naive_z_looks_at_totals() -> None:
    """It needs a job on each path, and rolls back in the first minute with z over 1.96."""
    assert peers.naive_z(minutes([10, 10], [0, 8], [100, 100], [0, 0])) == 1
    assert peers.naive_z(minutes([10, 10], [5, 5], [0, 0], [0, 0])) is None
    assert peers.naive_z(minutes([10, 10], [0, 0], [10, 10], [0, 0])) is None


def test_cusum_adds_up_and_never_sinks_below_zero() -> None:
    """Good minutes take it to zero and no further; each failure adds ln 2."""
    walk = peers.cusum(minutes([1000, 0, 4, 0], [0, 0, 4, 0], [0] * 4, [0] * 4), 0.01)
    assert walk.tolist() == pytest.approx([0.0, 0.0, 4 * np.log(2), 4 * np.log(2)])
    bad = minutes([0, 4], [0, 4], [0, 0], [0, 0])
    assert peers.cusum_rolls_back(bad, 0.01, 2.7) == 1
    assert peers.cusum_rolls_back(bad, 0.01, 2.8) is None


def test_cusum_limit_is_reached_by_few_healthy_pilots() -> None:
    """Of 300 seeded healthy pilots between 0 and 4 % reach it; 1.5 % are meant to."""
    rng = np.random.default_rng(5)
    limit = peers.cusum_limit(2000 * 5.0 * 0.02)
    reached = 0
    for _ in range(300):
        k: Floats = rng.poisson(0.1, 2000).astype(np.float64)
        n: Floats = k + rng.poisson(4.9, 2000)
        reached += peers.cusum_rolls_back(minutes(n, k, n, k), 0.02, limit) is not None
    assert 0 < reached <= 12


def test_kayenta_sees_a_clear_shift_and_skips_empty_minutes() -> None:
    """Twice as slow in an hour is High; the same values are not, and NaN is left out."""
    rng = np.random.default_rng(1)
    old = rng.lognormal(0, 0.1, 120)
    new = np.concatenate([old[:60], 2 * old[60:]])
    new[70] = np.nan
    assert peers.hourly(new, old) == 119
    assert peers.hourly(old, old) is None
    assert not peers.harmed(old[:1], old)


def test_failure_rates_have_no_value_without_jobs() -> None:
    """A minute in which a path finished nothing says nothing."""
    new, old = peers.failure_rates(minutes([4, 0], [1, 0], [0, 2], [0, 1]))
    assert new[0] == 0.25
    assert np.isnan(new[1])
    assert np.isnan(old[0])
    assert old[1] == 0.5
