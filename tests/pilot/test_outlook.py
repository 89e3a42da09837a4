"""What the next step takes, and when: time, looks, calendar, jobs at the present rate."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import sqrt
from typing import Any

import pytest

from rollout.evidence.counts import Counts
from rollout.evidence.drill_pair import DrillPair
from rollout.evidence.harm_budget import LATE_RATE, automatic, margin
from rollout.evidence.promotion import score
from rollout.evidence.verdict import Finding, Verdict
from rollout.pilot.holds import NEED_A_PERSON, HoldKind, hold_window, holds_of
from rollout.pilot.judge import judge
from rollout.pilot.judgement import Action
from rollout.pilot.outlook import NOT_AT_PRESENT_RATES, Outlook, outlook
from rollout.pilot.situation import Shadowed, Situation, WayBack
from rollout.pilot.step import StepEvidence, guard_of
from rollout.pilot.totals import Totals
from rollout.policy.policy import Policy, Quiet
from rollout.policy.way import Baseline
from rollout.routing.stages import Stage
from tests.builders import split

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
POLICY = Policy(drills_min=0, quiet=())
READY = WayBack(success_age_s=1.0, capacity_per_s=10.0, arrival_per_s=1.0)


def situation(policy: Policy = POLICY, *, days: float = 2.0, **values: Any) -> Situation:
    """A step at 32 % that began on a Monday, some days in, with nothing seen yet."""
    given: dict[str, Any] = {
        "state": split(3200, holdback_bp=500),
        "look_at_day": policy.bake_days,
        "way_back": READY,
        "looks": 0,
        "baseline": Baseline(10_500.0, 0.005),
        **values,
    }
    seen = StepEvidence.fresh(guard_of(policy))
    return Situation(
        now=MONDAY + timedelta(seconds=days * policy.day_s),
        step=3,
        began_at=MONDAY,
        evidence=replace(seen, admitted_concurrent=320, admitted_legacy=680),
        **given,
    )


def totals(n: int, failed: int = 0, slow: int = 0, tail: int = 0) -> Totals:
    """Concurrent jobs with so many hits; twice as many legacy ones at .5 %, 50 % and 5 %."""
    m = 2 * n
    return Totals(
        Counts(n, failed, m, m // 200),
        Counts(n, slow, m, m // 2),
        Counts(n, tail, m, m // 20),
    )


def ahead(seen: Situation, policy: Policy = POLICY) -> Outlook:
    """The outlook of a situation."""
    return outlook(policy, seen, judge(policy, seen))


def needs(found: Outlook) -> dict[str, Any]:
    """What it takes, by its name."""
    return {one.what: one for one in found.needs}


def test_a_score_needs_the_jobs_that_bring_it_to_its_limit() -> None:
    """With so many more jobs at the same rates the score is at its limit: z grows as sqrt(n)."""
    seen = situation(totals=totals(1000, failed=5, slow=440, tail=60))
    found = judge(POLICY, seen)
    tail = next(one for one in found.findings if one.metric == "cycle_tail")
    need = needs(ahead(seen))["cycle_tail"]
    assert tail.value is not None
    assert tail.value > tail.limit
    grown = (1000 + need.jobs) / 1000
    assert tail.value * sqrt(grown) == pytest.approx(tail.limit, rel=0.01)
    scaled = Counts(*(round(grown * number) for number in (1000, 60, 2000, 100)))
    assert score(scaled, margin(automatic(LATE_RATE, 10_500), 10_500, 0.5)) == pytest.approx(
        tail.limit, rel=0.02
    )
    waited = (need.at - seen.now) / timedelta(days=1)
    assert waited == pytest.approx(need.jobs / 500, rel=0.01)  # 1000 jobs came in two days


def test_the_look_that_promotes_is_the_first_after_the_proofs() -> None:
    """Proven on day eight means promoted at the second look, on day 10.5 and not before."""
    seen = situation(totals=totals(1000, failed=0, slow=400, tail=60))
    found = ahead(seen)
    assert found.not_before == MONDAY + timedelta(days=7)
    assert found.at is not None
    looks = [MONDAY + timedelta(days=day) for day in (7, 10.5, 14, 17.5)]
    last = max(one.at for one in found.needs if one.at is not None)
    assert found.at == next(look for look in looks if look >= last)


def test_a_rate_on_the_wrong_side_is_not_proven_by_more_jobs() -> None:
    """Slower than legacy: no number of jobs is given, and no time."""
    found = ahead(situation(totals=totals(1000, slow=700, tail=35)))
    median = needs(found)["cycle_median"]
    assert NOT_AT_PRESENT_RATES in median.sentence
    assert (median.at, median.jobs) == (None, None)
    assert found.at is None
    assert "slow jobs" in found.sentence


def test_looks_that_end_before_the_proof_leave_it_to_a_person() -> None:
    """Fifteen weeks at the present rate, and fifteen looks in eight: nobody is told to wait."""
    found = ahead(situation(totals=totals(1000, slow=485, tail=68)))
    assert found.at is None
    assert "a person decides" in needs(found)[HoldKind.LOOKS].sentence


def test_time_is_told_in_policy_days() -> None:
    """A policy whose day lasts a minute is told in minutes, not in weeks."""
    policy = POLICY.model_copy(update={"day_s": 60.0})
    found = ahead(situation(policy, totals=totals(100_000, slow=40_000, tail=3_000)), policy)
    assert found.at == found.not_before == MONDAY + timedelta(minutes=7)


def test_the_calendar_moves_the_look() -> None:
    """The bake time ends on a Monday; a quiet Monday makes it Tuesday."""
    quiet = Quiet(days=("mon",))
    policy = POLICY.model_copy(update={"quiet": (quiet,)})
    found = ahead(situation(policy, totals=totals(100_000, slow=40_000, tail=3_000)), policy)
    assert found.not_before == MONDAY + timedelta(days=8)


def test_what_only_an_event_ends_has_no_time() -> None:
    """Frozen, short of drills, legacy too small: all three are named and no time is promised."""
    policy = Policy(quiet=())
    seen = situation(
        policy,
        state=split(3200, holdback_bp=500, frozen=True),
        totals=totals(100_000, slow=40_000, tail=3_000),
        way_back=replace(READY, capacity_per_s=0.5),
        pairs=(DrillPair(1.0, 2.0, 60.0),),
    )
    found = ahead(seen, policy)
    assert found.at is None
    assert {HoldKind.FROZEN, HoldKind.DRILLS, HoldKind.WAY_BACK} <= set(needs(found))
    assert needs(found)[HoldKind.DRILLS].jobs == 5
    assert all(word in found.sentence for word in ("frozen", "drills", "the way back"))


def test_jobs_that_the_policy_asks_for_are_counted_at_the_present_rate() -> None:
    """500 a day have come and 1,500 are missing: three days."""
    policy = POLICY.model_copy(update={"jobs_min": 2_500})
    need = needs(ahead(situation(policy, totals=totals(1000)), policy))[HoldKind.JOBS_MIN]
    assert need.jobs == 1_500
    assert need.at == MONDAY + timedelta(days=5)


def test_nothing_seen_gives_no_rate() -> None:
    """Without a job there is nothing to reckon with; no division by zero, no promise."""
    policy = POLICY.model_copy(update={"jobs_min": 10})
    found = ahead(situation(policy, days=0.0), policy)
    assert found.at is None
    assert "no rate is known yet" in needs(found)[HoldKind.JOBS_MIN].sentence


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (split(0, stage=Stage.LEGACY), "rollout start"),
        (split(3200, killed=True), "rollout rearm"),
        (split(9500, stage=Stage.GRADUATED, holdback_bp=500), "graduated"),
    ],
)
def test_where_nothing_is_pending(state: Any, said: str) -> None:
    """Legacy, killed, graduated: what a person could do, and no time."""
    found = ahead(situation(state=state))
    assert said in found.sentence
    assert found.at is None


def test_what_is_due_is_done_at_the_next_tick() -> None:
    """Proven on the seventh day: the next tick advances."""
    seen = situation(days=7.0, totals=totals(100_000, slow=40_000, tail=3_000))
    assert judge(POLICY, seen).action is Action.ADVANCE
    assert ahead(seen).at == seen.now


def test_holds_read_their_window_back() -> None:
    """The kinds of a hold are in its window; no other window names one."""
    kinds = (HoldKind.BAKE, HoldKind.WAY_BACK)
    assert holds_of(hold_window(12, kinds)) == kinds
    for window in ("3/look/2", "3/revert", "3/hold", "3/confirmed", ""):
        assert holds_of(window) == ()


def test_a_policy_that_is_not_automatic_names_the_hold() -> None:
    """Proven, and a person acts: the hold has a kind of its own, which the alert knows."""
    policy = POLICY.model_copy(update={"automatic": False})
    made = judge(policy, situation(days=7.0, totals=totals(100_000, slow=40_000, tail=3_000)))
    assert made.person
    assert holds_of(made.window) == (HoldKind.PROVEN,)
    assert set(NEED_A_PERSON) > {HoldKind.PROVEN}


def test_other_outputs_have_no_end_of_their_own() -> None:
    """`rollout why` names what differs before whatever else is missing, and no date."""
    differs = Finding("shadow_output", Verdict.REGRESS, 1.0, 1.0, 20, 20, None, "total differs")
    found = ahead(situation(shadowed=Shadowed(pairs=20, findings=(differs,))))
    assert found.sentence == "never as it is: total differs"
    assert found.at is None
