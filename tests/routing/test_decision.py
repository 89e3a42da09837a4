"""What each reason means, written by hand from the design and not derived from the code."""

import pytest

from rollout.routing.decision import Reason

MEANING: dict[str, set[Reason]] = {
    "drawn": {Reason.IN_SCOPE, Reason.OUT_OF_SCOPE},
    "usual": {Reason.OUT_OF_SCOPE, Reason.STAGE},
    "fallback": {Reason.FAILED, Reason.TIME_LIMIT, Reason.WORKER_LOST},
    "final": {Reason.FAILED, Reason.TIME_LIMIT, Reason.WORKER_LOST, Reason.FENCED},
    "by_kill": {Reason.KILLED, Reason.KILLED_ALL, Reason.FENCED},
    "ends_drilled_run": {Reason.DRILL, Reason.WORKER_LOST},
    "not_its_doing": {
        Reason.OUT_OF_SCOPE,
        Reason.STAGE,
        Reason.KILLED,
        Reason.KILLED_ALL,
        Reason.UNKNOWN,
        Reason.UNREADABLE,
        Reason.UNREACHABLE,
        Reason.UNSUPERVISED,
        Reason.LEDGER_UNREACHABLE,
        Reason.FENCED,
    },
    "closes": {
        Reason.STAGE,
        Reason.KILLED,
        Reason.KILLED_ALL,
        Reason.UNKNOWN,
        Reason.UNREADABLE,
        Reason.UNREACHABLE,
        Reason.UNSUPERVISED,
    },
}


@pytest.mark.parametrize("meaning", MEANING)
def test_a_reason_means_what_it_is_said_to_mean(meaning: str) -> None:
    """No reason too few and none too many."""
    assert {one for one in Reason if getattr(one.means, meaning)} == MEANING[meaning]


def test_every_meaning_is_asked_for() -> None:
    """One that was added has its line above."""
    assert set(MEANING) == set(Reason.FAILED.means.__slots__)
