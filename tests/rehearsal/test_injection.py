"""Injected regressions: what can be written, what is refused, what becomes of the jobs."""

from datetime import UTC, datetime

import numpy as np
import pytest

from rollout.rehearsal.injection import BadInjection, Injection, parse_injection
from rollout.rehearsal.stream_draw import Drawing, draw_stream

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "injection"),
    [
        ("at=day 9.5 errors=0.05", Injection(9.5, errors=0.05)),
        ("at=day 2 slow=1.25", Injection(2.0, slow=1.25)),
        ("day 0 all-fail", Injection(0.0, errors=1.0)),
        ("at=day 3 errors=0.1 slow=2", Injection(3.0, 0.1, 2.0)),
    ],
)
def test_what_can_be_written(text: str, injection: Injection) -> None:
    """A day, and something that gets worse."""
    assert parse_injection(text) == injection


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("errors=0.05", "needs the day"),
        ("at=day 9.5", "something that gets worse"),
        ("at=day 9.5 errors=5", "errors must be 0..1"),
        ("at=day 9.5 slow=0.5", "slow must be 1..1000"),
        ("at=day 9.5 slow=nan", "slow must be 1..1000"),
        ("at=day -1 all-fail", "day must be 0..3650"),
        ("at=day soon all-fail", "day must be 0..3650"),
        ("at=day 1 al-fail", "got 'al-fail'"),
        ("at=day 1 errors", "errors must be 0..1, got None"),
        ("", "needs the day"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    """What was expected, what came, and an example of what to write."""
    with pytest.raises(BadInjection, match=said) as caught:
        parse_injection(text)
    assert "at=day 9.5 errors=0.05" in caught.value.hint


def test_only_concurrent_jobs_from_the_day_on_get_worse() -> None:
    """Jobs before it and everything on legacy stay as they were; the share is the one asked for."""
    stream = draw_stream("pilot", Drawing(10_000), START, 4)
    injection = Injection(2.0, errors=0.05, slow=2.0)
    hurt = injection.into(stream, injection.at(START, 86_400))
    after = stream.since(injection.at(START, 86_400))
    before = slice(0, after.start)
    assert np.array_equal(hurt.concurrent_failed[before], stream.concurrent_failed[before])
    assert np.array_equal(hurt.concurrent_us[before], stream.concurrent_us[before])
    assert np.array_equal(hurt.concurrent_us[after], 2 * stream.concurrent_us[after])
    assert hurt.concurrent_failed[after].mean() == pytest.approx(0.05, abs=0.01)
    assert hurt.legacy_us is stream.legacy_us
    assert hurt.legacy_failed is stream.legacy_failed


def test_how_it_is_said() -> None:
    """A person reads it back."""
    assert str(Injection(1, errors=1.0)) == "from day 1 on every concurrent job fails"
    both = "from day 1.5 on 5 % of concurrent jobs fail and concurrent jobs take 2 times as long"
    assert str(Injection(1.5, 0.05, 2.0)) == both
