"""What is read of one sub-pipeline is what it has among all: no other's rows are read for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

import pytest
from sqlalchemy import event

from rollout.evidence.thresholds import Thresholds
from rollout.jobs.recent import RecentJobs
from rollout.pilot.trial_steps import begin
from rollout.policy.policy import Policy
from rollout.policy.ports import LONGEST, Arrived
from rollout.routing.effects import Effects
from tests.builders import NAME, NOW, filing
from tests.contract.conftest import ClosingLedger, LedgerCase
from tests.contract.ledger_acts import C, L, commit, declared, started

OTHER = "orders"


class Asked(ClosingLedger, RecentJobs, Protocol):
    """A ledger that is asked about lately, too."""


def two(ledger: ClosingLedger) -> None:
    """Two sub-pipelines with jobs that finished and jobs that did not, some of them counted."""
    for name in (NAME, OTHER):
        declared(ledger, Effects.COMMIT, name)
        for number in range(3):
            commit(ledger, started(ledger, f"{name}-{number}", L, name=name), now=NOW)
        started(ledger, f"{name}-runs", C, name=name)
        if name == NAME:
            assert ledger.fold(10) == 3


def test_counts_of_one_are_its_own(ledger: Asked) -> None:
    """Tallies, whether folded or not, what came lately, and arrivals."""
    two(ledger)
    for name in (NAME, OTHER):
        all_tallies, all_cycles = ledger.tallies()
        tallies, cycles = ledger.tallies(name)
        assert tallies == [one for one in all_tallies if one.name == name]
        assert sum(one.jobs for one in tallies) == 3
        assert cycles == [one for one in all_cycles if one.name == name]
        lately = list(ledger.recent_counts(NOW, name))
        assert lately == [one for one in ledger.recent_counts(NOW) if one.name == name]
        assert sum(one.jobs for one in lately) == 4
        assert ledger.arrivals(NOW, name) == [Arrived(name, 3, 3, 0, NOW)]
    assert ledger.arrivals(NOW, "nobody") == []


def test_one_that_took_longer_than_a_week_is_not_looked_for(ledger: ClosingLedger) -> None:
    """The jobs of one are found by their admission; all are counted by their end alone."""
    declared(ledger)
    ledger.file([filing("long", L, at=NOW)])
    end = NOW + LONGEST + timedelta(seconds=1)
    commit(ledger, started(ledger, "long", L), now=end)
    assert ledger.arrivals(end) == [Arrived(NAME, 1, 1, 0, end)]
    assert ledger.arrivals(end, NAME) == []
    assert ledger.arrivals(end - timedelta(seconds=1), NAME) == [Arrived(NAME, 1, 1, 0, end)]


def test_trials_and_profiles_of_some(ledger: ClosingLedger) -> None:
    """None is all; a name that has none is left out."""
    two(ledger)
    ledger.fold(10)
    token = ledger.take_lease("test", NOW, timedelta(seconds=30))
    assert token is not None
    controls, found = [ledger.control(one) for one in (NAME, OTHER)], Thresholds(350, 365)
    ledger.save_trials(token, [begin(one, (None, None), Policy(), found, NOW) for one in controls])
    for names in ([NAME], [OTHER, "nobody"], [], [NAME, OTHER]):
        known = sorted({NAME, OTHER} & set(names))
        assert sorted(str(one.columns["name"]) for one in ledger.trial_rows(names)) == known
        assert sorted(ledger.profiles(names)) == known
    assert len(ledger.trial_rows()) == len(ledger.profiles()) == 2


def test_counts_of_many_trials_are_those_of_each(ledger: ClosingLedger) -> None:
    """The hours of its step and what is slow already; one without thresholds has none of these."""
    two(ledger)
    token = ledger.take_lease("test", NOW, timedelta(seconds=30))
    assert token is not None
    controls, slow = [ledger.control(one) for one in (NAME, OTHER)], Thresholds(350, 365)
    trials = [begin(one, (None, None), Policy(), slow, NOW) for one in controls]
    ledger.save_trials(token, trials)
    ledger.fold(10)
    now = NOW + timedelta(hours=1)
    for some in (trials, trials[:1], [replace(trials[0], thresholds=None), trials[1]], []):
        found = ledger.counts_of(some, now)
        assert list(found) == [one.name for one in some]
        for one in some:
            hours, open_slow = found[one.name]
            assert hours == ledger.hours(one.name, one.step)
            assert open_slow == ledger.open_slow(one, now)
            assert sum(count.slow_tail for count in open_slow) == (one.thresholds is not None)
    assert found == {}
    other = ledger.counts_of([replace(trials[1], step=7)], now)[OTHER]
    assert other[0] == []


@pytest.mark.parametrize("ledger_case", ["sqlite"], indirect=True)
def test_the_week_of_one_is_found_by_its_admissions(ledger_case: LedgerCase) -> None:
    """And not among all that finished: of 200 sub-pipelines that is 200 times as much."""
    asked: list[tuple[str, Any]] = []
    engine = ledger_case.sql.database.engine

    def note(conn: Any, cursor: Any, statement: str, values: Any, *more: Any) -> None:
        asked.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    ledger_case.sql.arrivals(NOW, NAME)
    event.remove(engine, "before_cursor_execute", note)
    with ledger_case.sql.database.read() as connection:
        for statement, values in asked:
            if "FROM job" not in statement:
                continue
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
            assert "(name=? AND accepted_at>?)" in str(plan[0][-1])
