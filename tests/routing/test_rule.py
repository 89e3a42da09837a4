"""The routing rule: golden vectors, its properties, and who wins when nothing may run."""

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.routing.decision import JobPath, Reason
from rollout.routing.rule import Reading, RouteTable, each_position, position, threshold
from rollout.routing.stages import BP_ALL, ControlState, Stage
from tests.builders import split

# Salt, key, position, and the smallest scope that covers it: worked out once from the rule
# `xxh3_64(salt + 0x1f + key) < ceil(scope_bp * 2**64 / 10_000)` and frozen. A change here moves
# running jobs of every user.
GOLDEN = [
    ("", "", 0x05087BBED866D0DE, 197),
    ("invoices", "7", 0x2135C07A86887095, 1_298),
    ("invoices", "8", 0x987DFD6165390BFE, 5_957),
    ("invoices", "customer-42", 0xF493D33D84AC6D8C, 9_554),
    ("flights-load", "2013-01-01/EWR", 0xBA15D5886C520E1C, 7_269),
    ("flights-load", "2013-02-08/JFK", 0x55A73DBF3E842461, 3_346),
    ("flights-load", "2013-12-31/LGA", 0xE1ADE2D89E41942A, 8_816),
    ("bill", "ä", 0x6C0B817CD7981AFE, 4_221),
    ("bill", "日本", 0x7B6C9DB2FFE23DF2, 4_822),
    ("bill", "😀", 0xCFD10B38FE4FA735, 8_118),
    ("a", "b\x1fc", 0x19892FA05F9124D5, 998),
    ("reports", "00000000-0000-0000-0000-000000000000", 0xFFF9936C1591FF4E, 10_000),
    ("x", "0" * 200, 0x3B45D8BC6311C2D4, 2_316),
]

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SCOPES = st.integers(0, BP_ALL)


def path_of(state: ControlState, key: str) -> JobPath:
    """Where a healthy, supervised store sends the key."""
    return RouteTable(Reading(state, supervised=True)).decide(key).path


@pytest.mark.parametrize(("salt", "key", "at", "scope_bp"), GOLDEN)
def test_a_key_keeps_its_frozen_position(salt: str, key: str, at: int, scope_bp: int) -> None:
    """The hash of salt and key is the one that was frozen."""
    assert position(salt, key) == at


@pytest.mark.parametrize(("salt", "key", "at", "scope_bp"), GOLDEN)
def test_a_key_enters_at_its_frozen_scope(salt: str, key: str, at: int, scope_bp: int) -> None:
    """The key is outside one basis point below its frozen scope and inside from there."""
    for bp, expected in ((scope_bp - 1, JobPath.LEGACY), (scope_bp, JobPath.CONCURRENT)):
        state = ControlState(
            "x", stage=Stage.SPLIT, scope_bp=bp, holdback_bp=0, salt=salt, revision=1
        )
        assert path_of(state, key) is expected


def test_thresholds_are_the_rounded_up_share_of_the_range() -> None:
    """Nothing at zero, everything at the top, and exact ceilings between."""
    assert threshold(0) == 0
    assert threshold(1) == 1_844_674_407_370_956  # 2**64 / 10_000 = ...955.1616
    assert threshold(5_000) == 2**63
    assert threshold(10_000) == 2**64
    assert all(low < high for low, high in pairwise(map(threshold, range(10_001))))


@given(KEYS, SCOPES, SCOPES)
def test_a_larger_scope_never_takes_a_key_off(key: str, one: int, other: int) -> None:
    """What runs concurrently at a scope does so at every larger scope."""
    small, large = sorted((one, other))
    if path_of(split(small), key) is JobPath.CONCURRENT:
        assert path_of(split(large), key) is JobPath.CONCURRENT


@given(KEYS, SCOPES, st.integers(0, BP_ALL - 1))
def test_the_holdback_never_leaves_legacy(key: str, scope_bp: int, holdback_bp: int) -> None:
    """Keys at the top end of the range stay on legacy, even at a scope that is too large."""
    state = split(scope_bp, holdback_bp=holdback_bp)
    if position(state.salt, key) >= threshold(BP_ALL - holdback_bp):
        assert path_of(state, key) is JobPath.LEGACY


@pytest.mark.parametrize("scope_bp", [100, 1_600, 5_000, 9_500])
def test_the_observed_share_is_near_the_scope(scope_bp: int) -> None:
    """Of ten thousand keys, the scope's share is inside, within four standard errors."""
    keys = 10_000
    inside = sum(path_of(split(scope_bp), f"k{n}") is JobPath.CONCURRENT for n in range(keys))
    share = scope_bp / BP_ALL
    assert abs(inside / keys - share) < 4 * (share * (1 - share) / keys) ** 0.5


def test_salts_choose_different_keys() -> None:
    """Two sub-pipelines at half scope agree on about half of the keys, not on all."""
    mine, yours = split(5_000, salt="mine"), split(5_000, salt="yours")
    same = sum(path_of(mine, f"k{n}") is path_of(yours, f"k{n}") for n in range(4_000))
    assert 1_800 < same < 2_200


def expected_reason(reading: Reading) -> Reason | None:
    """The design's precedence, written down a second time: None means the scope decides."""
    state = reading.state
    ranked = [
        (reading.killed_all, Reason.KILLED_ALL),
        (reading.killed, Reason.KILLED),
        (state is None, reading.doubt or Reason.UNKNOWN),
        (state is not None and state.killed, Reason.KILLED),
        (not reading.supervised, Reason.UNSUPERVISED),
        (state is not None and state.stage in (Stage.LEGACY, Stage.SHADOW), Reason.STAGE),
    ]
    return next((reason for holds, reason in ranked if holds), None)


def readings() -> list[Reading]:
    """Every combination of what a look at the store can give."""
    flags = [(a, b, c) for a, b, c in product([False, True], repeat=3)]
    known = [
        Reading(
            split(BP_ALL, holdback_bp=0, stage=stage, killed=dead),
            killed=one,
            killed_all=every,
            supervised=alive,
        )
        for stage in Stage
        for dead in (False, True)
        for one, every, alive in flags
    ]
    doubts = (None, Reason.UNKNOWN, Reason.UNREADABLE, Reason.UNREACHABLE)
    empty = [
        Reading(None, killed=one, killed_all=every, supervised=alive, doubt=doubt)
        for doubt in doubts
        for one, every, alive in flags
    ]
    return known + empty


def test_any_doubt_means_legacy_with_the_first_reason() -> None:
    """Every doubt closes the concurrent path, and the first reason in precedence is given."""
    seen = set()
    for reading in readings():
        decision = RouteTable(reading).decide("7")
        reason = expected_reason(reading)
        path = JobPath.CONCURRENT if reason is None else JobPath.LEGACY
        assert (decision.path, decision.reason) == (path, reason or Reason.IN_SCOPE), reading
        assert decision.revision == (reading.state.revision if reading.state else -1)
        seen.add(decision.reason)
    assert len(seen) == 8


def test_a_key_outside_the_scope_says_so() -> None:
    """Legacy by the scope is told apart from legacy by doubt."""
    decision = RouteTable(Reading(split(0), supervised=True)).decide("7")
    assert (decision.path, decision.reason) == (JobPath.LEGACY, Reason.OUT_OF_SCOPE)


@given(st.text(max_size=20), st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_many_positions_are_each_ones(salt: str, keys: list[str]) -> None:
    """A rehearsal's millions lie where the rule puts each of them."""
    salt = salt.encode(errors="replace").decode()
    assert list(each_position(salt, keys)) == [position(salt, key) for key in keys]
