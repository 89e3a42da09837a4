"""The stage table: every row, every refusal, and what no sequence of events can break."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import (
    IllegalTransition,
    NotShadowable,
    RolloutError,
    ScopeOutOfRange,
    StaleRevision,
)
from rollout.routing.effects import Effects
from rollout.routing.stages import BP_ALL, TRANSITIONS, ControlState, Event, Stage, apply
from tests.builders import NAME, split

TOP = 9_500
LEGACY, SHADOW, SPLIT, GRADUATED = Stage

# From, event, to; None is a refusal. Written by hand from the design, not derived from the code.
STAGES_AFTER: dict[Event, tuple[Stage | None, Stage | None, Stage | None, Stage | None]] = {
    Event.SHADOW: (SHADOW, None, None, None),
    Event.START: (SPLIT, SPLIT, None, None),
    Event.SCOPE: (None, None, SPLIT, SPLIT),
    Event.DOUBLE: (None, None, SPLIT, None),
    Event.GRADUATE: (None, None, GRADUATED, None),
    Event.REVERT: (None, LEGACY, LEGACY, LEGACY),
    Event.KILL: (LEGACY, SHADOW, SPLIT, GRADUATED),
    Event.REARM: (LEGACY, SHADOW, SPLIT, GRADUATED),
    Event.FREEZE: (LEGACY, SHADOW, SPLIT, GRADUATED),
    Event.UNFREEZE: (LEGACY, SHADOW, SPLIT, GRADUATED),
}
GROWTH = {Event.SHADOW, Event.START, Event.DOUBLE, Event.GRADUATE}
SCOPE_OF = {LEGACY: 0, SHADOW: 0, SPLIT: 400, GRADUATED: TOP}


def state_in(stage: Stage, event: Event, *, killed: bool, frozen: bool) -> ControlState:
    """A usual state in this stage; one that may graduate stands at the top."""
    scope = TOP if event is Event.GRADUATE and stage is SPLIT else SCOPE_OF[stage]
    return split(
        scope, stage=stage, killed=killed, frozen=frozen, kill_id="kill-0" if killed else None
    )


def outcome(stage: Stage, event: Event, *, killed: bool, frozen: bool, grows: bool) -> Stage | None:
    """What the table of this file says; None is a refusal."""
    if event is Event.REARM and not killed:
        return None
    if (killed or frozen) and (event in GROWTH or (event is Event.SCOPE and grows)):
        return None
    return STAGES_AFTER[event][list(Stage).index(stage)]


COMBINATIONS = [
    (stage, event, killed, frozen, scope_bp)
    for stage, event, killed, frozen in product(Stage, Event, (False, True), (False, True))
    for scope_bp in ((300, 9_500) if event is Event.SCOPE else (None,))
]


@pytest.mark.parametrize(("stage", "event", "killed", "frozen", "scope_bp"), COMBINATIONS)
def test_every_combination_does_what_the_table_says(
    stage: Stage, event: Event, killed: bool, frozen: bool, scope_bp: int | None
) -> None:
    """A legal event gives the next stage with revision plus one; an illegal one only raises."""
    before = state_in(stage, event, killed=killed, frozen=frozen)
    copy = replace(before)
    grows = scope_bp is not None and scope_bp > before.scope_bp
    expected = outcome(stage, event, killed=killed, frozen=frozen, grows=grows)
    if expected is None:
        with pytest.raises(IllegalTransition):
            apply(before, event, scope_bp=scope_bp, kill_id="kill-1", effects=Effects.NONE)
    else:
        after = apply(before, event, scope_bp=scope_bp, kill_id="kill-1", effects=Effects.NONE)
        assert after.stage is expected
        assert after.revision == before.revision + 1
    assert before == copy


def test_the_table_has_one_row_and_one_sentence_for_each_event() -> None:
    """No event is missing, doubled or unexplained."""
    assert [row.event for row in TRANSITIONS] == list(Event)
    assert all(row.sentence.endswith(".") for row in TRANSITIONS)


def test_a_kill_latches_and_moves_the_fence() -> None:
    """The kill is named and its own revision becomes the fence."""
    after = apply(split(), Event.KILL, kill_id="kill-1")
    assert (after.killed, after.kill_id, after.fence_revision) == (True, "kill-1", 4)
    assert (after.stage, after.scope_bp) == (SPLIT, 9_500)


def test_a_rearm_restores_what_was_covered_and_remembers_the_kill() -> None:
    """Stage and scope are in force again, the fence stays where it was."""
    killed = apply(split(), Event.KILL, kill_id="kill-1")
    after = apply(killed, Event.REARM)
    assert (after.killed, after.kill_id, after.lifted_kill_id) == (False, None, "kill-1")
    assert (after.stage, after.scope_bp, after.fence_revision) == (SPLIT, 9_500, 4)


def test_the_ladder_doubles_from_one_percent_to_the_holdback() -> None:
    """1 % to 64 % and then what the holdback leaves, where doubling ends and graduating begins."""
    state, seen = apply(ControlState(NAME), Event.START), []
    while state.scope_bp < state.scope_bp_max:
        seen.append(state.scope_bp)
        state = apply(state, Event.DOUBLE)
    assert [*seen, state.scope_bp] == [100, 200, 400, 800, 1_600, 3_200, 6_400, 9_500]
    with pytest.raises(IllegalTransition, match="largest scope"):
        apply(state, Event.DOUBLE)
    assert apply(state, Event.GRADUATE).stage is GRADUATED


def test_graduating_early_is_refused() -> None:
    """A trial that has not reached its largest scope cannot end well."""
    with pytest.raises(IllegalTransition, match="let it grow to 9000"):
        apply(split(6_400), Event.GRADUATE)


def test_a_large_holdback_caps_the_first_step() -> None:
    """Starting takes less than one percent when the holdback leaves less."""
    assert apply(ControlState(NAME, holdback_bp=9_950), Event.START).scope_bp == 50


@pytest.mark.parametrize("scope_bp", [-1, 10_001, 12_000, None, 1.5, "100", True])
def test_a_scope_that_is_no_share_is_refused(scope_bp: int | None) -> None:
    """Numbers outside of what the holdback leaves, and other types: the largest is told."""
    with pytest.raises(ScopeOutOfRange, match=r"0\.\.9500.*use 9500"):
        apply(split(), Event.SCOPE, scope_bp=scope_bp)


def test_a_scope_inside_the_holdback_is_refused_with_the_largest_one() -> None:
    """The message names what is left."""
    with pytest.raises(ScopeOutOfRange, match="use 9500"):
        apply(split(), Event.SCOPE, scope_bp=9_501)


@pytest.mark.parametrize("flag", ["killed", "frozen"])
def test_a_scope_may_shrink_while_killed_or_frozen(flag: str) -> None:
    """Less is always allowed; the same is, too."""
    state = split(400, **{flag: True})
    assert apply(state, Event.SCOPE, scope_bp=400).scope_bp == 400
    assert apply(state, Event.SCOPE, scope_bp=100).scope_bp == 100


def test_a_stale_revision_is_refused_before_anything_else() -> None:
    """The second of two operators hears of the first, even if the event were illegal as well."""
    with pytest.raises(StaleRevision):
        apply(ControlState(NAME, revision=41), Event.DOUBLE, seen_revision=40)
    assert apply(split(), Event.FREEZE, seen_revision=3).frozen


@pytest.mark.parametrize("effects", [None, Effects.IDEMPOTENT, Effects.UNSAFE])
def test_paths_that_touch_the_world_get_no_shadow(effects: Effects | None) -> None:
    """Neither do paths of which nobody knows what they do: the rule stands in the stage table."""
    with pytest.raises(NotShadowable, match="may not run beside the real job"):
        apply(ControlState(NAME), Event.SHADOW, effects=effects)


EVENTS = st.lists(
    st.tuples(st.sampled_from(Event), st.one_of(st.none(), st.integers(-10, BP_ALL + 10))),
    max_size=40,
)


@given(EVENTS, st.integers(0, BP_ALL - 1))
def test_no_sequence_of_events_breaks_the_rules(
    events: list[tuple[Event, int | None]], holdback_bp: int
) -> None:
    """Cap, latch, revision, fence and growth hold after each event of any sequence."""
    state = ControlState(NAME, holdback_bp=holdback_bp)
    for number, (event, scope_bp) in enumerate(events):
        before = state
        try:
            state = apply(
                before, event, scope_bp=scope_bp, kill_id=f"kill-{number}", effects=Effects.COMMIT
            )
        except RolloutError:
            continue
        assert 0 <= state.scope_bp <= BP_ALL - holdback_bp
        assert state.revision == before.revision + 1
        assert state.fence_revision >= before.fence_revision
        if before.killed and not state.killed:
            assert event is Event.REARM
        if state.scope_bp > before.scope_bp:
            assert not before.killed
            assert not before.frozen
        if state.stage in (LEGACY, SHADOW):
            assert state.scope_bp == 0
        assert state.killed == (state.kill_id is not None)
        assert (state.name, state.salt, state.holdback_bp) == (NAME, "", holdback_bp)
