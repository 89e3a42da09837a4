"""One test per gate: each removes one thing from a situation that would advance, and it holds.

Taking a gate out of `rollout/pilot/judge.py` (or what it asks) makes the test named after it fail.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rollout.evidence.counts import Counts
from rollout.evidence.drill_pair import DrillPair
from rollout.evidence.looks import LOOKS_MAX, look_day
from rollout.evidence.revert_test import Window
from rollout.evidence.verdict import Finding, Verdict
from rollout.pilot.holds import HoldKind, holds_of
from rollout.pilot.judge import judge
from rollout.pilot.judgement import Action, Judgement
from rollout.pilot.situation import Shadowed, Situation, WayBack, situation_from_json
from rollout.pilot.situations import drills_age_max
from rollout.pilot.step import StepEvidence, guard_of
from rollout.pilot.totals import Totals
from rollout.pilot.trial_steps import begin, cool_down
from rollout.policy.policy import DAY_S_MAX, DAYS_MAX, Freeze, Policy
from rollout.policy.way import Baseline
from rollout.routing.stages import Event, Stage
from tests.builders import split

TUESDAY = datetime(2026, 11, 10, 9, tzinfo=UTC)
POLICY = Policy()
GOOD = Counts(20_000, 40, 60_000, 150)
RAISED = Counts(2_000, 5, 1_000, 3)
PAIRS = tuple(DrillPair(4.0, 8.0 + n, 600.0) for n in range(6))


def evidence(new: int = 160, old: int = 340, failed: int = 0) -> StepEvidence:
    """A step whose windows held these jobs; `failed` of the new ones in a last window."""
    begun = StepEvidence.fresh(guard_of(POLICY))
    counts = Counts(new, 0, old, 1)
    slow = Counts(new, new // 4, old, old // 2)
    seen = begun.observe(Window(counts, slow, slow, new, old), 10.0, 0.0025, 1.0)
    if failed:
        worse = Counts(failed, failed, failed, 0)
        slow = Counts(failed, 0, failed, 0)
        for _ in range(3):
            window = Window(worse, slow, slow, failed, failed)
            seen = seen.observe(window, 10.0, 0.0025, 1.0)
    return seen


def ready(**values: object) -> Situation:
    """A step of 32 % at which everything is proven and nothing holds."""
    given: dict[str, object] = {
        "now": TUESDAY,
        "state": split(3200),
        "step": 4,
        "began_at": TUESDAY - timedelta(days=7, minutes=1),
        "looks": 0,
        "look_at_day": 7.0,
        "evidence": evidence(),
        "rate_legacy": 0.0025,
        "totals": Totals(
            GOOD, Counts(20_000, 8_000, 60_000, 30_000), Counts(20_000, 600, 60_000, 3_000)
        ),
        "thresholds_known": True,
        "pairs": PAIRS,
        "step_pairs": 1,
        "way_back": WayBack(5.0, 20.0, 10.0, 0),
        "baseline": Baseline(80_000.0, 0.0025),
    }
    return Situation(**{**given, **values})  # type: ignore[arg-type]


def decided(seen: Situation, policy: Policy = POLICY) -> Judgement:
    """Judge, and judge what was stored of it: both must agree."""
    made = judge(policy, seen)
    stored = Policy.model_validate(policy.model_dump(mode="json"))
    again = judge(stored, situation_from_json(seen.to_json(), stored))  # type: ignore[arg-type]
    assert again.to_json() == made.to_json()
    return made


def test_everything_proven_advances_one_step() -> None:
    """The scope grows to the next step, by an event of the stage table; the look is used."""
    made = decided(ready())
    assert (made.action, made.event, made.to_bp, made.look) == (
        Action.ADVANCE,
        Event.SCOPE,
        5000,
        True,
    )
    doubled = decided(ready(state=split(2500), evidence=evidence(new=125, old=375)))
    assert (doubled.event, doubled.to_bp) == (Event.DOUBLE, 5000)


def test_the_top_step_graduates() -> None:
    """At the last step nothing grows: it is enough that nothing speaks against the path."""
    few = Counts(900, 0, 100, 0)
    slow = (Counts(900, 460, 100, 50), Counts(900, 45, 100, 5))
    seen = ready(state=split(9000), totals=Totals(few, *slow), evidence=evidence(new=450, old=50))
    made = decided(seen)
    assert (made.action, made.to_bp) == (Action.GRADUATE, None)
    worse = replace(seen, totals=replace(seen.totals, failures=Counts(900, 60, 100, 0)))
    assert decided(worse).action is Action.HOLD


def held(seen: Situation, word: str, policy: Policy = POLICY) -> Judgement:
    """It holds, and a reason has this word."""
    made = decided(seen, policy)
    assert made.action is Action.HOLD
    assert made.event is None
    assert any(word in reason for reason in (*made.reasons, made.sentence)), made.reasons
    return made


def test_the_error_gate_holds() -> None:
    """Failures not shown to keep to the budget at the next scope."""
    worse = replace(ready().totals, failures=Counts(20_000, 100, 60_000, 150))
    held(ready(totals=worse), "extra failed jobs a week at 50 %")


def test_the_cycle_gate_holds_at_the_median() -> None:
    """Slow jobs not shown to keep to it."""
    worse = replace(ready().totals, median=Counts(20_000, 11_200, 60_000, 30_000))
    held(ready(totals=worse), "extra slow jobs a week at 50 %")


def test_the_cycle_gate_holds_at_the_tail() -> None:
    """Late jobs not shown to keep to it."""
    worse = replace(ready().totals, tail=Counts(20_000, 1_250, 60_000, 3_000))
    held(ready(totals=worse), "extra late jobs a week at 50 %")


def test_the_recovery_gate_holds() -> None:
    """Drills in which the concurrent path heals slower."""
    slower = tuple(DrillPair(30.0, 8.0 + n, 600.0) for n in range(6))
    held(ready(pairs=slower), "do not show yet that it heals")


def test_a_missing_drill_holds_without_a_look() -> None:
    """Five pairs are no proof: the drill is overdue, and no look is used up by that."""
    made = held(ready(pairs=PAIRS[:5]), "Drill overdue")
    assert not made.look


def test_each_step_asks_for_a_drill_of_its_own() -> None:
    """Pairs of earlier steps prove how it healed there; a policy may be content with them."""
    made = held(ready(step_pairs=0), "Drill overdue: 0 of 1 comparable drill pairs at this step")
    assert not made.look
    lenient = POLICY.model_copy(update={"drills_step_min": 0})
    assert decided(ready(step_pairs=0), lenient).action is Action.ADVANCE


def test_the_sample_ratio_gate_holds() -> None:
    """A split that is not what it should be compares nothing."""
    made = held(ready(evidence=evidence(new=5_000, old=5_000)), "routing or counting is broken")
    (split_,) = [one for one in made.findings if one.metric == "sample_ratio"]
    assert split_.verdict is Verdict.ERROR


def test_jobs_that_share_keys_do_not_break_the_sample_ratio() -> None:
    """Ten jobs a key: the share may stray ten times as far by chance."""
    seen = ready(evidence=evidence(new=2_300, old=2_700), design_effect=2_000.0)
    assert decided(seen).action is Action.ADVANCE


@pytest.mark.parametrize(
    ("way_back", "word"),
    [
        (WayBack(None, 20.0, 10.0), "not committed"),
        (WayBack(4_000.0, 20.0, 10.0), "ago"),
        (WayBack(5.0, 8.0, 10.0), "backlog would grow by 2"),
        (WayBack(5.0, None, 10.0), "legacy can carry is not known"),
        (WayBack(5.0, 20.0, None), "jobs arrive is not known"),
        (WayBack(float("nan"), 20.0, 10.0), "ago"),
    ],
)
def test_the_readiness_gate_holds(way_back: WayBack, word: str) -> None:
    """Legacy that could not take everything back now holds the scope."""
    held(ready(way_back=way_back), word)


def test_no_holdback_holds() -> None:
    """Without a holdback nobody knows that legacy still works."""
    held(ready(state=split(3200, holdback_bp=0)), "holdback")


def test_the_freeze_gate_holds() -> None:
    """A calendar that is closed lets nothing grow; the look waits."""
    frozen = Policy(
        freezes=(
            Freeze(
                begin=datetime(2026, 11, 9),  # noqa: DTZ001  # local time of the policy's zone
                end=datetime(2026, 11, 20),  # noqa: DTZ001
                why="year end",
            ),
        )
    )
    assert not held(ready(), "year end", frozen).look
    held(ready(state=split(3200, frozen=True)), "Frozen by a person")


def test_friday_afternoon_holds() -> None:
    """The default calendar lets nothing grow before a weekend."""
    friday = datetime(2026, 11, 13, 15, tzinfo=UTC)
    held(ready(now=friday, began_at=friday - timedelta(days=8)), "calendar")


def test_the_bake_time_holds() -> None:
    """Not before seven full days, and a clock that went backwards counts as none."""
    held(ready(began_at=TUESDAY - timedelta(days=6.9)), "days at this step")
    held(ready(began_at=TUESDAY + timedelta(days=1)), "days at this step")


def test_looks_are_bounded() -> None:
    """After fifteen looks a person decides."""
    assert not decided(ready(looks=14)).person
    made = held(ready(looks=15), "a person decides")
    assert made.person


@pytest.mark.parametrize("hold", ["held", "cooldown", "jobs_min"])
def test_other_holds(hold: str) -> None:
    """The fleet, a cool-down after a revert, and a number of jobs the policy asks for."""
    cases = {
        "held": (ready(held="'bills' shares 'db'."), "shares", POLICY),
        "cooldown": (ready(cooldown_until=TUESDAY + timedelta(hours=1)), "Cooling", POLICY),
        "jobs_min": (ready(), "asks for 30000", Policy(jobs_min=30_000)),
    }
    seen, word, policy = cases[hold]
    held(seen, word, policy)


def test_a_lean_towards_harm_holds() -> None:
    """A revert test over 20 is no revert yet and no time to grow."""
    lean = evidence(failed=5)
    assert max(lean.harm.values()) >= 20.0
    assert not lean.latched
    held(ready(evidence=lean), "lean towards harm: too little to revert, too much to grow")


@pytest.mark.parametrize("stage", [Stage.SPLIT, Stage.GRADUATED])
def test_a_regression_reverts_before_anything_else(stage: Stage) -> None:
    """However good the totals look, frozen or not, before its time or after it."""
    state = split(3200, stage=stage, frozen=True)
    seen = ready(evidence=evidence(failed=40), state=state, began_at=TUESDAY)
    made = decided(seen)
    assert (made.action, made.event, made.to_bp) == (Action.REVERT, Event.REVERT, 0)
    assert made.window.endswith("/revert")


def test_a_revert_may_go_to_the_previous_step() -> None:
    """If the policy says so; from the first step it goes to legacy."""
    policy = Policy(revert_to="previous_step")
    seen = ready(evidence=evidence(failed=40))
    assert (decided(seen, policy).event, decided(seen, policy).to_bp) == (Event.SCOPE, 2500)
    first = ready(evidence=evidence(failed=40), state=split(310))
    assert decided(first, policy).event is Event.REVERT


def test_a_kill_comes_before_a_revert() -> None:
    """What a person has killed is left alone: nothing runs there, and the kill is the record."""
    made = decided(ready(evidence=evidence(failed=40), state=split(3200, killed=True)))
    assert made.action is Action.HOLD
    assert "killed" in made.sentence


def test_the_longest_times_of_a_policy_fit_into_a_calendar() -> None:
    """A time that no calendar holds would end the turn that judges all the others."""
    longest = {name: DAYS_MAX for name in ("bake_days", "cooldown_days", "drills_max_age_days")}
    policy = Policy.model_validate({**longest, "day_s": DAY_S_MAX})
    seen = ready(look_at_day=look_day(LOOKS_MAX, policy.bake_days))
    assert decided(seen, policy).action is Action.HOLD
    assert seen.now - drills_age_max(policy) < seen.now
    state = split(310)
    begun = begin(state, (None, None), policy, None, seen.now)
    assert cool_down(begun, policy, seen.now).cooldown_until is not None


def test_a_policy_that_is_not_automatic_asks_a_person() -> None:
    """It judges and says; nothing is changed."""
    policy = Policy(automatic=False)
    for seen in (ready(), ready(evidence=evidence(failed=40))):
        made = decided(seen, policy)
        assert (made.action, made.event, made.person) == (Action.HOLD, None, True)


@pytest.mark.parametrize("totals", [Totals(), Totals(Counts(0, 0, 500, 3))])
def test_no_evidence_no_promotion(totals: Totals) -> None:
    """A path with no jobs, or nothing counted at all, holds."""
    held(ready(totals=totals), "Nothing is shown yet of failed jobs")


def test_the_cap_is_never_overshot() -> None:
    """A cap between two steps is the last step; at it nothing grows."""
    policy = Policy(scope_bp_max=4_000)
    assert decided(ready(), policy).to_bp == 4_000
    at_cap = decided(ready(state=split(4_000), evidence=evidence(new=200, old=300)), policy)
    assert at_cap.action is Action.HOLD
    assert "cap" in at_cap.sentence


def test_shadow_waits_for_its_pairs() -> None:
    """With enough pairs and no harm the first step begins; before that it holds."""
    policy = Policy(shadow_pairs_min=20, jobs_min=60)  # jobs of a step are asked for at a step
    state = split(0, stage=Stage.SHADOW)
    few = ready(state=state, shadowed=Shadowed(pairs=19, raised=RAISED))
    held(few, "19 of 20 shadow pairs", policy)
    made = decided(ready(state=state, shadowed=Shadowed(pairs=20, raised=RAISED)), policy)
    assert (made.event, made.to_bp) == (Event.START, 1250)


def test_the_shadow_step_proves_failures() -> None:
    """A path that raises where legacy does not stays in shadow, and each look is counted."""
    state = split(0, stage=Stage.SHADOW)
    worse = Shadowed(pairs=20, raised=Counts(2_000, 200, 1_000, 3))
    made = held(ready(state=state, shadowed=worse), "extra failed jobs a week at 12.5 %")
    assert made.look
    nothing = Shadowed(pairs=20, raised=Counts(2_000, 5, 0, 0))
    held(ready(state=state, shadowed=nothing), "again on legacy")
    unknown = ready(state=state, shadowed=Shadowed(pairs=20, raised=RAISED), baseline=None)
    held(unknown, "no budget is known")


def test_without_known_traffic_there_is_no_budget_and_no_proof() -> None:
    """Nobody knows how many jobs come: nothing is proven."""
    held(ready(baseline=None), "nothing is proven")


def test_no_drill_is_asked_for_before_a_quarter() -> None:
    """A build proves how it heals once, before it leaves 25 %."""
    early = ready(state=split(1250), evidence=evidence(new=60, old=440), pairs=(), step_pairs=0)
    assert decided(early).action is Action.ADVANCE
    at_25 = ready(state=split(2500), evidence=evidence(new=125, old=375), step_pairs=0)
    assert decided(at_25).action is Action.ADVANCE
    held(replace(at_25, pairs=()), "Drill overdue")


def test_a_stated_budget_is_the_budget() -> None:
    """Ten failed jobs a week are not shown by counts that show seventy."""
    made = held(ready(), "the budget is 10", Policy(budget_failed=10.0))
    assert made.look
    assert decided(ready(), Policy(budget_failed=200.0)).action is Action.ADVANCE


@pytest.mark.parametrize(
    ("metric", "verdict", "holds"),
    [
        ("shadow_output", Verdict.REGRESS, True),
        ("shadow_output", Verdict.ERROR, True),
        ("shadow_output", Verdict.INSUFFICIENT, False),
        ("shadow_time", Verdict.REGRESS, True),
        ("shadow_time", Verdict.ERROR, False),
    ],
)
def test_what_a_shadow_showed_can_hold(metric: str, verdict: Verdict, holds: bool) -> None:
    """Other outputs or slower ones hold; times that cannot be compared do not."""
    found = Finding(metric, verdict, 1.0, 1.0, 20, 20, None, "said the shadow")
    shadowed = Shadowed(pairs=20, findings=(found,), raised=RAISED)
    seen = ready(state=split(0, stage=Stage.SHADOW), shadowed=shadowed)
    made = decided(seen, Policy(shadow_pairs_min=20))
    assert (made.action is Action.HOLD) is holds


OTHER_TOTAL = "Outputs differ beyond legacy's own noise: total in 20 of 20."


def sampled(metric: str, verdict: Verdict) -> Shadowed:
    """What the sampled shadows of a step showed."""
    found = Finding(metric, verdict, 1.0, 1.0, 20, 20, None, OTHER_TOTAL)
    return Shadowed(pairs=20, findings=(found,))


def test_other_outputs_in_sampled_shadows_hold_a_step_for_a_person() -> None:
    """Everything else is proven, and jobs still come out wrong: nothing grows by itself."""
    made = held(ready(shadowed=sampled("shadow_output", Verdict.REGRESS)), OTHER_TOTAL)
    assert made.person
    assert not made.look
    assert holds_of(made.window) == (HoldKind.OUTPUTS,)


@pytest.mark.parametrize(
    ("metric", "verdict"),
    [
        ("shadow_output", Verdict.INSUFFICIENT),
        ("shadow_output", Verdict.ERROR),
        ("shadow_time", Verdict.REGRESS),
    ],
)
def test_what_else_sampled_shadows_say_holds_no_step(metric: str, verdict: Verdict) -> None:
    """The jobs of a step have times of their own, and nobody asked for comparable outputs there."""
    assert decided(ready(shadowed=sampled(metric, verdict))).action is Action.ADVANCE


def test_a_revert_goes_before_other_outputs() -> None:
    """Held is not kept: what reverts reverts."""
    seen = ready(shadowed=sampled("shadow_output", Verdict.REGRESS), evidence=evidence(failed=40))
    assert decided(seen).action is Action.REVERT
