"""Ten pipelines of 100 jobs a day, a cohort, through the controller's own judgement."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from ops.evidence.cohorts import MEMBERS, play_cohort
from rollout.pilot.inputs import decide_again
from rollout.rehearsal.injection import Injection


@pytest.mark.long
@pytest.mark.timeout(600)  # some fifteen seconds alone
def test_ten_pipelines_of_a_hundred_jobs_a_day_climb_on_one_budget() -> None:
    """The first alone, then the others together: all graduate, and every decision is replayed."""
    done = play_cohort(1, tick=timedelta(days=1))
    assert done.errors == []
    assert len(done.graduated) == len(MEMBERS)
    assert done.reverted == {}
    assert done.entered[MEMBERS[1]] >= done.graduated[MEMBERS[0]]
    shared = [one for one in done.decisions if '"members":' in one.inputs and one.action != "hold"]
    grown = [one for one in shared if json.loads(one.inputs)["situation"]["together"]]
    assert any("members of its cohort together" in one.answer for one in grown)
    for one in grown:
        assert decide_again(one.inputs) == json.loads(one.answer), one.sentence


def test_a_broken_member_is_reverted_alone_and_stops_the_cohort() -> None:
    """Every job of the second fails: its own tests take it back, and nobody else enters."""
    done = play_cohort(
        2, Injection(0.0, errors=1.0), MEMBERS[1:2], MEMBERS[:3], 80, timedelta(hours=6)
    )
    assert list(done.reverted) == [MEMBERS[1]]
    assert set(done.entered) == set(MEMBERS[:2])
    assert done.graduated.keys() == {MEMBERS[0]}
