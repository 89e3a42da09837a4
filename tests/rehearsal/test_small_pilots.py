"""Small pilots through the controller's own judgement; `make evidence` plays twenty of each."""

from __future__ import annotations

from math import inf

import pytest

from ops.evidence.rehearsals import TWICE, graduated_on, play


@pytest.mark.parametrize("jobs_a_day", [100.0, 1000.0])
def test_an_equal_path_of_few_jobs_graduates(jobs_a_day: float) -> None:
    """Within nine weeks, with drills, calendars and the way back in."""
    played = play(jobs_a_day, seed=1)
    assert graduated_on(played) <= 63.0
    assert played.done.errors == []


def test_a_path_that_fails_twice_as_often_does_not_graduate() -> None:
    """1,000 jobs a day, 1 % instead of .5 %: reverted on the way, or held."""
    assert graduated_on(play(1000.0, seed=2, injection=TWICE)) == inf
