"""Many pilots and every rule: the shape of the published comparison, on a few of them."""

import numpy as np
import pytest

from rollout.rehearsal.injection import BadInjection, Injection
from rollout.rehearsal.pilots import (
    EXPOSED,
    FALSE,
    Traffic,
    compare_pilots,
    fault_of,
    first_revert,
)


def test_the_comparison_has_the_published_shape() -> None:
    """Cumulative checks revert healthy pilots, rollout does not and sees a total failure first."""
    rows = compare_pilots(Traffic(days=3, seed=7), pilots=6, scopes=(0.01, 0.08))
    found = {(row.who, row.case): row.observed for row in rows}
    assert set(found["rollout, failures", FALSE].values()) == {0.0}
    assert set(found["Flagger-style", FALSE].values()) == {100.0}
    for scope, most in (("1 %", 7), ("8 %", 10)):
        own = found["rollout, failures", EXPOSED][scope]
        assert own <= most, "twice the method's median"
        assert own <= found["Flagger-style", EXPOSED][scope]
        assert own <= found["Argo-style", EXPOSED][scope]


def test_the_same_seed_compares_the_same() -> None:
    """And a healthy pilot is seen as healthy by rollout's own tests."""
    traffic = Traffic(jobs_per_day=10_000, days=2)
    assert compare_pilots(traffic, 2, (0.5,)) == compare_pilots(traffic, 2, (0.5,))
    healthy = traffic.minutes(np.random.default_rng(1), 0.5, 500, (0.005, 0.005))
    assert first_revert(healthy, 60.0, 0.005) is None


def test_a_slow_down_cannot_be_drawn() -> None:
    """Whoever asks: the pilots that are drawn here only fail."""
    assert (fault_of(None), fault_of(Injection(1.0, errors=0.2))) == (1.0, 0.2)
    with pytest.raises(BadInjection, match="draws failures only"):
        fault_of(Injection(1.0, slow=2.0))
