"""Tokens, sessions, acts and kept answers, on every ledger."""

from datetime import timedelta
from typing import Any

import pytest

from rollout.control.access import Origin, Role
from rollout.control.acts import Act, Came
from rollout.control.requests import ABANDONED_AFTER, KEPT, Answer
from rollout.control.tokens import Session, Token
from tests.builders import NOW
from tests.contract.conftest import LedgerCase

SECOND = timedelta(seconds=1)


def token(token_id: str = "t1", **values: Any) -> Token:
    """A token for one sub-pipeline."""
    names = frozenset({"invoices"})
    made = Token(token_id, f"d-{token_id}", "ada", Role.OPERATOR, names, NOW, "bo", NOW + SECOND)
    return made if not values else Token(**{**_fields(made), **values})


def _fields(one: Token) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Token.__slots__}


def test_a_token_is_found_by_its_hash_alone(ledger_case: LedgerCase) -> None:
    """What was kept comes back whole; another hash finds nothing."""
    ledger = ledger_case.ledger
    ledger.add_token(token())
    assert ledger.token_of("d-t1") == token()
    assert ledger.token_of("t1") is None


def test_tokens_are_listed_newest_first(ledger_case: LedgerCase) -> None:
    """The one made last stands first; one for every sub-pipeline has no names."""
    ledger = ledger_case.ledger
    newer = token("t2", made_at=NOW + SECOND, names=None, ends_at=None)
    ledger.add_token(token())
    ledger.add_token(newer)
    assert ledger.tokens() == [newer, token()]


def test_revoking_ends_the_sessions_of_a_token(ledger_case: LedgerCase) -> None:
    """It is revoked once, and who signed in with it is signed out."""
    ledger = ledger_case.ledger
    ledger.add_token(token())
    session = Session("s1", "ada", Role.OPERATOR, None, "t1", NOW, NOW + SECOND)
    ledger.add_session(session)
    assert ledger.session_of("s1") == session
    assert ledger.revoke_token("t1", NOW)
    assert not ledger.revoke_token("t1", NOW)
    assert not ledger.revoke_token("t9", NOW)
    assert ledger.session_of("s1") is None
    found = ledger.token_of("d-t1")
    assert found is not None
    assert found.revoked_at == NOW


def test_sessions_end(ledger_case: LedgerCase) -> None:
    """Signing out forgets one; those that are over are forgotten when another begins."""
    ledger = ledger_case.ledger
    names = frozenset({"a", "b"})
    ledger.add_session(Session("s1", "ada", Role.VIEWER, names, None, NOW, NOW + SECOND))
    ledger.end_session("s1")
    ledger.end_session("s1")
    assert ledger.session_of("s1") is None
    ledger.add_session(Session("s2", "ada", Role.VIEWER, names, None, NOW, NOW + SECOND))
    ledger.add_session(Session("s3", "bo", Role.ADMIN, None, None, NOW + SECOND, NOW + 2 * SECOND))
    assert ledger.session_of("s2") is None
    assert ledger.session_of("s3") is not None


def test_acts_are_read_newest_first_page_by_page(ledger_case: LedgerCase) -> None:
    """Refusals are in it; an id leads to the page before."""
    ledger = ledger_case.ledger
    origin = Origin("api", "r-1", "10.0.0.1")
    for number, name in enumerate(("a", "b", None, "a")):
        ledger.note_act(Act(NOW, "ada", origin, "kill", name, f"why {number}", Came.REFUSED, "no"))
    acts = ledger.acts(None, 3)
    assert [one.reason for one in acts] == ["why 3", "why 2", "why 1"]
    assert acts[0].origin == origin
    assert acts[0].came is Came.REFUSED
    assert [one.reason for one in ledger.acts(None, 3, acts[-1].act_id)] == ["why 0"]
    assert [one.reason for one in ledger.acts("a", 3)] == ["why 3", "why 0"]


def test_a_key_is_answered_once(ledger_case: LedgerCase) -> None:
    """The first who comes acts, the others get what it was told."""
    ledger = ledger_case.ledger
    assert ledger.begin_answer("k", "body", NOW) is None
    assert ledger.begin_answer("k", "other", NOW) == Answer("body", NOW)
    ledger.end_answer("k", 200, "{}")
    assert ledger.begin_answer("k", "body", NOW + SECOND) == Answer("body", NOW, 200, "{}")


@pytest.mark.parametrize(("status", "after"), [(None, ABANDONED_AFTER), (200, KEPT)])
def test_a_key_is_free_again(ledger_case: LedgerCase, status: int | None, after: timedelta) -> None:
    """A request that died is taken over, an old answer is forgotten."""
    ledger = ledger_case.ledger
    assert ledger.begin_answer("k", "body", NOW) is None
    if status is not None:
        ledger.end_answer("k", status, "{}")
    assert ledger.begin_answer("k", "body", NOW + after - SECOND) is not None
    assert ledger.begin_answer("k", "body", NOW + after) is None


def test_a_request_that_failed_leaves_its_key(ledger_case: LedgerCase) -> None:
    """Without a status nothing is kept: the same request may act."""
    ledger = ledger_case.ledger
    assert ledger.begin_answer("k", "body", NOW) is None
    ledger.end_answer("k", None, "")
    assert ledger.begin_answer("k", "body", NOW) is None
