"""Who leads and who stands by, on every ledger."""

from datetime import timedelta

from tests.builders import NOW
from tests.contract.conftest import ClosingLedger

TTL = timedelta(seconds=6)


def test_nobody_leads_at_first(ledger: ClosingLedger) -> None:
    """An empty ledger knows no leader and no standby."""
    assert ledger.leader() is None
    assert ledger.standbys(NOW) == []


def test_a_refused_controller_stands_by(ledger: ClosingLedger) -> None:
    """It is named once however often it asks, also when its name is a long one."""
    waits = "a-host-with-a-name-of-more-than-32-characters.example.org:4711"
    assert ledger.take_lease("one:1", NOW, TTL) == 1
    for second in range(3):
        assert ledger.take_lease(waits, NOW + timedelta(seconds=second), TTL) is None
    assert ledger.standbys(NOW) == [waits]
    assert ledger.leader() == ("one:1", NOW + TTL)


def test_a_standby_that_leads_stands_by_no_more(ledger: ClosingLedger) -> None:
    """It takes over when the lease has ended, with the next token."""
    ledger.take_lease("one:1", NOW, TTL)
    ledger.take_lease("two:2", NOW + TTL / 2, TTL)
    assert ledger.take_lease("two:2", NOW + TTL, TTL) == 2
    assert ledger.standbys(NOW + TTL) == []


def test_a_standby_that_fell_silent_is_forgotten(ledger: ClosingLedger) -> None:
    """It is shown for as long as a lease lasts, and its row goes with the next who stands by."""
    ledger.take_lease("one:1", NOW, 2 * TTL)
    ledger.take_lease("two:2", NOW, TTL)
    assert ledger.standbys(NOW + TTL) == []
    ledger.take_lease("three:3", NOW + TTL, TTL)
    assert ledger.standbys(NOW) == ["three:3"]


def test_a_leader_that_stopped_is_nobody(ledger: ClosingLedger) -> None:
    """A controller that ended well leaves an empty name, so that a standby need not wait."""
    token = ledger.take_lease("one:1", NOW, TTL)
    assert token is not None
    ledger.drop_lease(token)
    held = ledger.leader()
    assert held is not None
    assert held[0] == ""
    assert ledger.take_lease("two:2", NOW, TTL) == 2
