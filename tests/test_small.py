"""Effects, cycle buckets and a job's way."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import DeclarationError
from rollout.jobs.claims import JobState
from rollout.jobs.cycle import BUCKETS_S, bucket_of
from rollout.jobs.way import read_way, step
from rollout.routing.decision import Reason
from rollout.routing.effects import Effects, read_effects
from tests.builders import NOW

# Word, repeatable, shadowable, needs the ledger: the design's table.
EFFECTS = [
    ("none", True, True, False),
    ("commit", True, True, True),
    ("idempotent", True, False, False),
    ("unsafe", False, False, True),
]


@pytest.mark.parametrize(("word", "repeatable", "shadowable", "needs_ledger"), EFFECTS)
def test_effects_allow_what_the_table_says(
    word: str, repeatable: bool, shadowable: bool, needs_ledger: bool
) -> None:
    """Each word stands for its row."""
    effects = read_effects("invoices", word)
    assert effects.repeatable is repeatable
    assert effects.shadowable is shadowable
    assert effects.needs_ledger is needs_ledger


def test_the_table_names_every_kind_of_effects() -> None:
    """A new kind has to be thought about here."""
    assert [row[0] for row in EFFECTS] == [str(effects) for effects in Effects]


@pytest.mark.parametrize("word", ["", "NONE", "commits", None])
def test_an_unknown_kind_of_effects_is_refused(word: str) -> None:
    """The message lists the four words."""
    with pytest.raises(DeclarationError, match="'none', 'commit', 'idempotent', 'unsafe'"):
        read_effects("invoices", word)


@given(st.floats(0, 200_000))
def test_a_cycle_time_falls_into_the_first_bucket_that_holds_it(seconds: float) -> None:
    """The bound is the smallest that is not below the time; past a day it is infinity."""
    bound = bucket_of(seconds)
    assert bound == min((b for b in BUCKETS_S if b >= seconds), default=float("inf"))


@pytest.mark.parametrize("bound", BUCKETS_S)
def test_a_time_on_the_bound_belongs_below(bound: float) -> None:
    """Bounds are inclusive, as Prometheus counts them."""
    assert bucket_of(bound) == bound


FACTS = st.dictionaries(
    st.sampled_from(["path", "reason", "error"]),
    st.one_of(st.none(), st.text('a\n\r\x00\u2028\x85"é', max_size=20), st.integers()),
)


@given(st.lists(FACTS, max_size=5))
def test_a_way_reads_back_as_it_was_written(steps: list[dict[str, str | int | None]]) -> None:
    """One line a step, oldest first, without the facts that are None, whatever the text holds."""
    at = [NOW + timedelta(seconds=number) for number in range(len(steps))]
    way = "".join(step(when, "x", **facts) for when, facts in zip(at, steps, strict=True))
    expected = []
    for when, facts in zip(at, steps, strict=True):
        kept = {name: value for name, value in facts.items() if value is not None}
        expected.append({"at": when.isoformat(timespec="milliseconds"), "what": "x", **kept})
    assert read_way(way) == expected
    assert way.count("\n") == len(steps)


def test_reasons_and_states_are_plain_words_in_json() -> None:
    """Logs and metrics show the word, not the member."""
    assert json.dumps([Reason.FAILED, JobState.STARTED]) == '["failed", "started"]'


def test_a_kill_does_not_count_against_the_concurrent_path() -> None:
    """Only failures of the path itself do."""
    counted = {reason for reason in Reason if reason.means.fallback}
    assert counted == {Reason.FAILED, Reason.TIME_LIMIT, Reason.WORKER_LOST}
