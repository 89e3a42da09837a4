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
    for second in range(9):
        assert ledger.take_lease("b", NOW + timedelta(seconds=second), TTL) is None
    assert ledger.take_lease("b", NOW + timedelta(seconds=9), TTL) == 2


@pytest.mark.parametrize("skew_s", [-7200, -25, -1, 0, 1, 25, 7200])
def test_a_standby_whose_clock_is_wrong_takes_no_lease_that_is_renewed(
    ledger: Lease, skew_s: float
) -> None:
    """Behind or ahead: at most its first look goes by the date; leadership does not flap."""
    changes = 0
    leader, clocks = "a", {"a": timedelta(0), "b": timedelta(seconds=skew_s)}
    for second in range(120):
        for owner in ("a", "b"):
            now = NOW + timedelta(seconds=second) + clocks[owner]
            leads = ledger.take_lease(owner, now, TTL) is not None
            if leads and owner != leader:
                leader, changes = owner, changes + 1
    assert changes <= 1
    dead = leader
    after = [NOW + timedelta(seconds=120 + second) for second in range(25)]
    other = "b" if dead == "a" else "a"
    took = [ledger.take_lease(other, now + clocks[other], TTL) for now in after]
    assert took[-1] is not None


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
