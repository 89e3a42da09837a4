"""Who leads: the lease of controllers, on SQLite and PostgreSQL."""

from datetime import timedelta
from typing import Protocol

import pytest

from rollout.errors import LeaseLost
from rollout.pilot.ports import Leadership, Lease
from rollout.policy.in_force import text_of
from rollout.policy.policy import Policies, Policy
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


class _Both(Lease, Leadership, Protocol):
    """A ledger that leads and is asked."""


def test_what_a_leader_judges_by_is_kept_until_the_next_one(ledger: _Both) -> None:
    """Whoever looks reads it with its owner and time; one that lost the lease writes nothing."""
    assert ledger.kept_policies() is None
    token = ledger.take_lease("a", NOW, TTL)
    assert token is not None
    ledger.keep_policies(token, "a", text_of(Policies()), NOW)
    policies = Policies(sub_pipelines={"invoices": Policy(bake_days=3)})
    later = ledger.take_lease("b", NOW + TTL * 2, TTL)
    assert later is not None
    ledger.keep_policies(later, "b", text_of(policies), NOW + TTL * 2)
    with pytest.raises(LeaseLost):
        ledger.keep_policies(token, "a", text_of(Policies()), NOW)
    kept = ledger.kept_policies()
    assert kept is not None
    assert (kept.owner, kept.at, kept.policies) == ("b", NOW + TTL * 2, policies)
