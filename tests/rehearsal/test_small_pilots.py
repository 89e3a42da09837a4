"""Small pilots through the controller's own judgement; `make evidence` plays twenty of each."""

from __future__ import annotations

from math import inf

import pytest

from ops.evidence.rehearsals import TWICE, graduated_on, play
from rollout.rehearsal.injection import Injection


@pytest.mark.parametrize("jobs_a_day", [100.0, 1000.0])
def test_an_equal_path_of_few_jobs_graduates(jobs_a_day: float) -> None:
    """Within nine weeks, with drills, calendars and the way back in."""
    played = play(jobs_a_day, seed=1)
    assert graduated_on(played) <= 63.0
    assert played.done.errors == []


def test_a_path_that_fails_twice_as_often_does_not_graduate() -> None:
    """1,000 jobs a day, 1 % instead of .5 %: reverted on the way, or held."""
    assert graduated_on(play(1000.0, seed=2, injection=TWICE)) == inf


@pytest.mark.parametrize(("jobs_a_day", "rate"), [(100.0, 0.1), (1000.0, 0.03)])
def test_the_least_harm_that_is_promised_to_be_reverted_is(jobs_a_day: float, rate: float) -> None:
    """From the first job on; row D10 has four hundred pilots of each scope."""
    played = play(jobs_a_day, seed=3, injection=Injection(0.0, errors=rate))
    assert played.done.reverted_at is not None
    assert graduated_on(played) == inf


def test_a_smaller_harm_does_not_graduate() -> None:
    """100 jobs a day, 3 % instead of .5 % from the first job on: reverted on the way, or held."""
    assert graduated_on(play(100.0, seed=3, injection=Injection(0.0, errors=0.03))) == inf
