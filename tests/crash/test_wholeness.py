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
