"""Every case on bare Celery and behind rollout: what callers, signals and result backend saw."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.celery_conformance.cases import CASES
from tests.celery_conformance.compare import assert_same, assert_whole, observe_plainly
from tests.celery_conformance.differences import DIFFERENCES
from tests.celery_conformance.modes import MODES, Observed
from tests.celery_conformance.waves import FIRST

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(1800)]

All = dict[str, dict[str, Observed]]
"""What each mode saw, by case."""


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> All:
    """All modes, three at a time: they mostly wait."""
    folder = tmp_path_factory.mktemp("conformance")

    def one(mode: str) -> dict[str, Observed]:
        return observe_plainly(mode, folder / mode)

    with ThreadPoolExecutor(3) as pool:
        return dict(zip(MODES, pool.map(one, MODES), strict=True))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", MODES[1:])
def test_it_does_the_same_behind_rollout(observed: All, mode: str, case: str) -> None:
    """Whatever the task, app or caller does; a difference has its reason in `differences.py`."""
    assert_same(case, mode, observed["bare"][case], observed[mode][case])


OUTCOMES = {"SUCCESS": "committed", "FAILURE": "failed", "REVOKED": "cancelled"}
"""What the ledger says of a job whose state in Celery's result backend is this."""
FORGOTTEN = ("ignores", "rejects")
"""The body told Celery to forget the job: that is what it was to do."""


@pytest.mark.parametrize("mode", MODES[1:])
def test_the_ledger_has_the_same_outcomes(observed: All, mode: str) -> None:
    """Each job has one outcome, and what its owner called off is no failure of a path."""
    for case, bare in observed["bare"].items():
        states = [OUTCOMES.get(one["status"].strip("'")) for one in bare.backend]
        expected = ["committed" if case in FORGOTTEN else state for state in states]
        if case == "expired":
            expected = ["expired"]
        got = observed[mode][case].ledger
        same = [state in (None, one) for state, one in zip(expected, got, strict=True)]
        assert all(same), (case, expected, got)


def test_every_difference_is_one(observed: All) -> None:
    """One that has gone is taken out of the list and of the docs."""
    for one in DIFFERENCES:
        for mode in one.modes:
            bare, behind = observed["bare"][one.case], observed[mode][one.case]
            for part in one.parts:
                assert getattr(bare, part) != getattr(behind, part), (one, mode, part)


def test_nothing_was_shown_by_an_accident(observed: All) -> None:
    """On bare Celery every case came to its end."""
    assert_whole(observed["bare"])


def test_what_goes_first_is_there() -> None:
    """A case that was renamed would go in its turn again, and be waited for alone."""
    assert set(FIRST) <= set(CASES)
