"""A crash run that tried nothing is no good run."""

import pytest

from tests.crash.planted import at
from tests.crash.wholeness import gaps

_SUBMITTED = at(1, "producer1", "submitted", name="asks", jobs=["a", "b"])
_FAULT = at(2, "driver", "fault begun", n=1, kind="worker killed", target="legacy")


@pytest.mark.parametrize(
    ("events", "rest", "short", "problems"),
    [
        ([_SUBMITTED, _FAULT], True, False, []),
        ([_FAULT], True, False, ["0 of 2 jobs were submitted"]),
        ([_FAULT], True, True, ["0 of 2 jobs were submitted"]),
        ([_SUBMITTED], True, False, ["0 of 1 faults began"]),
        ([_SUBMITTED], True, True, []),
        ([_SUBMITTED, _FAULT], False, False, ["the deadline came before rest"]),
    ],
)
def test_run_that_was_not_whole_is_said(
    events: list[dict[str, object]], rest: bool, short: bool, problems: list[str]
) -> None:
    """Too few jobs, too few faults, no rest: each is a violation of its own."""
    violations = gaps(events, 2, 1, came_to_rest=rest, cut_short=short)
    assert [one.said for one in violations] == problems


def test_a_process_whose_claims_nobody_wrote_down_is_named() -> None:
    """A worker that asks an unwatched ledger would leave most rules blind to what it does."""
    began = at(3, "threaded", "started", job="a", path="concurrent", attempt=1)
    claimed = at(2, "threaded", "claimed", job="a", attempt=1)
    away = at(4, "threaded", "started", job="b", path="legacy", attempt=0)
    blind = gaps([_SUBMITTED, _FAULT, began, away], 2, 1, came_to_rest=True, cut_short=False)
    whole = gaps([_SUBMITTED, _FAULT, claimed, began], 2, 1, came_to_rest=True, cut_short=False)
    assert [one.said for one in blind] == [
        "1 runs of threaded began without a claim in the history"
    ]
    assert not list(whole)
