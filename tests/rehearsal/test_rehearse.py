"""The controller's judgement on drawn jobs and a virtual clock: weeks in seconds."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from rollout.pilot.ports import Recovery, WindowRow
from rollout.policy.policy import Policies
from rollout.rehearsal.exposed import Exposed
from rollout.rehearsal.injection import Injection
from rollout.rehearsal.job_stream import us_of
from rollout.rehearsal.rehearse import Plan, Rehearsed, rehearse
from rollout.rehearsal.stream_draw import Drawing, draw_drills, draw_stream
from rollout.rehearsal.stream_ledger import StreamLedger
from rollout.routing.decision import JobPath
from rollout.routing.ports import TransitionRecord
from rollout.routing.stages import Event, Stage

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
DAY_S = 86_400.0
LADDER = [310, 625, 1250, 2500, 5000, 9000, 9500]
"""The last is graduation."""


def calm(days: float, drills: list[Recovery], tick_s: float = 3600.0) -> Plan:
    """A plan with a tick an hour, which is all that calm days need."""
    begin, end = START - timedelta(days=1), START + timedelta(days=days)
    return Plan(begin, START, end, Policies(), drills=drills, tick_s=tick_s, wider_s=1200.0)


def equal_paths(
    days: float, jobs_per_day: float = 20_000, error_rate: float = 0.005
) -> StreamLedger:
    """Jobs that both paths treat alike."""
    drawing = Drawing(jobs_per_day, error_rate, 2.0, 0.3, 2)
    return StreamLedger(draw_stream("pilot", drawing, START - timedelta(days=1), days + 1))


def eight_weeks_of_drills() -> list[Recovery]:
    """Six pairs a week."""
    return draw_drills("pilot", 6, 0.8, START, 57, DAY_S, 1)


def grown(done: Rehearsed) -> list[TransitionRecord]:
    """Changes by which the scope grew, the start included."""
    return [one for one in done.changes if one.after.scope_bp > one.before.scope_bp]


def test_an_equal_path_climbs_the_default_ladder_in_six_weeks() -> None:
    """With drills: every step of the ladder, a week each, none skipped, graduated at the end."""
    ledger = equal_paths(43, 45_000, 0.0001)  # so many that no step needs a second look
    done = rehearse(ledger, calm(43, eight_weeks_of_drills(), tick_s=7200.0))
    assert [one.after.scope_bp for one in grown(done)] == LADDER
    assert (done.state.stage, done.state.scope_bp) == (Stage.GRADUATED, 9500)
    assert [one.event for one in done.changes][-1] is Event.GRADUATE
    assert done.changes[-1].at - START < timedelta(days=42, hours=12)
    assert done.errors == []


def test_without_drills_it_never_leaves_a_quarter() -> None:
    """No drill, no promotion beyond 25 %, however good the jobs look."""
    done = rehearse(equal_paths(16, 10_000), replace(calm(16, []), scope_bp=2500))
    assert (done.state.stage, done.state.scope_bp) == (Stage.SPLIT, 2500)
    last_hold = [one for one in done.decisions if "Drill overdue" in one.answer][-1]
    assert last_hold.at - START >= timedelta(days=7)
    assert {one.action for one in done.decisions} == {"hold"}


def test_drills_count_from_the_day_they_ran() -> None:
    """Drills of the second week are not known in the first: its look finds none."""
    late = draw_drills("pilot", 6, 0.8, START + timedelta(days=8), 7, DAY_S, 1)
    done = rehearse(equal_paths(7.5, 5_000), replace(calm(7.5, late), scope_bp=2500))
    assert any(
        "Drill overdue: 0 of 6" in one.answer
        for one in done.decisions
        if one.at - START >= timedelta(days=7)
    )


def test_late_ticks_skip_no_step() -> None:
    """A controller that is away for five days at a time takes the ladder one step at a time."""
    done = rehearse(equal_paths(30), calm(30, eight_weeks_of_drills(), tick_s=5 * DAY_S))
    climbed = [one.after.scope_bp for one in grown(done)]
    assert climbed == LADDER[: len(climbed)]
    assert len(climbed) >= 3
    looks = [one.at for one in grown(done)]
    assert all(later - sooner >= timedelta(days=7) for sooner, later in pairwise(looks))


def test_the_same_seed_decides_the_same() -> None:
    """Drawn and judged twice: the same decisions on the same numbers, to the last digit."""

    def once() -> list[tuple[str, str]]:
        done = rehearse(equal_paths(8, 5_000), calm(8, eight_weeks_of_drills()))
        return [(one.inputs, one.answer) for one in done.decisions]

    first = once()
    assert first == once()
    assert len(first) > 2


CASES = {
    "all fail, 1 %": (100, Injection(1.5, errors=1.0), 6),
    "all fail, 50 %": (5000, Injection(1.5, errors=1.0), 20),
    ".5 -> 5 %, 8 %": (800, Injection(1.5, errors=0.05), 331),
    "x1.25, 8 %": (800, Injection(1.5, slow=1.25), 1691),
    "x2, 50 %": (5000, Injection(1.5, slow=2.0), 342),
}
"""Scope, regression, and the median of jobs exposed by the method's table (D2, D4, D6)."""


def hurt(scope_bp: int, injection: Injection, seed: int = 1) -> tuple[Rehearsed, Exposed]:
    """Rehearse a fixed scope with a regression after a day and a half."""
    begin = START - timedelta(days=1)
    stream = draw_stream("pilot", Drawing(40_000, 0.005, 2.0, 1.0, seed), begin, 3.4)
    at = injection.at(START, DAY_S)
    ledger = StreamLedger(injection.into(stream, at))
    end = START + timedelta(days=2.4)
    done = rehearse(
        ledger,
        Plan(begin, START, end, Policies(), scope_bp, worse_at=at, tick_s=1800.0, wider_s=300.0),
    )
    assert done.reverted_at is not None, "it was never reverted"
    assert done.reverted_at > at, "it was reverted before anything was wrong"
    return done, ledger.exposed(at, done.reverted_at)


@pytest.mark.parametrize("case", CASES)
def test_a_regression_is_reverted_within_the_published_jobs(case: str) -> None:
    """One seeded pilot each: at most three times the table's median, which is over 20 pilots."""
    scope_bp, injection, median = CASES[case]
    done, exposed = hurt(scope_bp, injection)
    assert (done.state.stage, done.state.scope_bp) == (Stage.LEGACY, 0)
    assert exposed.seen <= 3 * median
    if injection.errors == 1.0:
        assert exposed.failed == exposed.seen
    assert done.decisions[-1].action == "confirm"
    assert json.loads(done.decisions[-2].answer)["action"] == "revert"


def test_nothing_is_decided_before_the_start() -> None:
    """Until the start every job runs on legacy."""
    ledger = equal_paths(1, 2_000)
    done = rehearse(ledger, calm(0.5, []))
    assert min(one.at for one in done.decisions) >= START
    assert not ledger.jobs.columns.concurrent[: ledger.jobs.before(0)].any()
    before = ledger.exposed(START - timedelta(days=1), START)
    assert before == (0, 0, 0)
    assert ledger.exposed(START, START + timedelta(days=0.5)).seen > 0


def test_the_one_judge_leads_until_it_stops() -> None:
    """A rehearsal has a leader as a controller has, and nobody who waits."""
    ledger = equal_paths(1, 2_000)
    assert ledger.leader() is None
    assert ledger.take_lease("rehearsal", START, timedelta(hours=1)) == 1
    assert ledger.leader() == ("rehearsal", START + timedelta(hours=1))
    assert ledger.standbys(START) == []
    ledger.drop_lease(1)
    assert ledger.leader() == ("", datetime(1970, 1, 1, tzinfo=UTC))


class OneImpossible(StreamLedger):
    """Says of the first window with concurrent jobs that more of them are slow than there are."""

    spoilt: WindowRow | None = None

    def windows(self, now: datetime, limit: int) -> list[WindowRow]:
        """Those of the stream, but for that one."""
        rows = super().windows(now, limit)
        for at, row in enumerate(rows):
            if self.spoilt is None and row.path is JobPath.CONCURRENT:
                self.spoilt = rows[at] = replace(row, slow_median=0, slow_tail=1)
        return rows


def test_a_window_that_cannot_be_is_reported_and_the_others_count() -> None:
    """Also those that are taken in with it."""
    drawing = Drawing(20_000, 0.005, 2.0, 0.3, 2)
    ledger = OneImpossible(draw_stream("pilot", drawing, START - timedelta(days=1), 2))
    done = rehearse(ledger, replace(calm(1, []), wider_s=60.0))
    assert ledger.spoilt is not None
    (said,) = done.errors
    assert said.startswith("pilot: k_concurrent of the tail")
    (trial,) = ledger.trial_rows()
    counted = trial.payload["evidence"]["admitted_concurrent"]
    routed = ledger.routed_since("pilot", START)[JobPath.CONCURRENT]
    scored_to = ledger.jobs.before(us_of(trial.columns["scored_to"]))
    late = int(ledger.jobs.columns.concurrent[scored_to : ledger.jobs.admitted].sum())
    assert routed - late - counted == ledger.spoilt.admitted
