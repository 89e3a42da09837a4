"""Who leads: the lease of controllers, on SQLite and PostgreSQL."""

from datetime import timedelta

from rollout.pilot.ports import Lease
from tests.builders import NOW

TTL = timedelta(seconds=10)


def test_one_controller_leads_and_a_standby_takes_over_when_its_lease_has_ended(
    ledger: Lease,
) -> None:
    """The token grows with each change of leader, so that a late one can be told."""
    assert ledger.take_lease("a", NOW, TTL) == 1
    assert ledger.take_lease("b", NOW + TTL / 2, TTL) is None
    assert ledger.take_lease("a", NOW + TTL / 2, TTL) == 1
    assert ledger.take_lease("b", NOW + TTL * 1.5, TTL) == 2
    assert ledger.take_lease("a", NOW + TTL * 1.5, TTL) is None


def test_a_lease_by_a_clock_far_ahead_is_not_waited_for(ledger: Lease) -> None:
    """Its leader died an hour ahead of us: without this nothing would be swept for an hour."""
    assert ledger.take_lease("a", NOW + timedelta(hours=1), TTL) == 1
    assert ledger.take_lease("b", NOW, TTL) == 2
    assert ledger.take_lease("a", NOW + TTL / 2, TTL) is None
