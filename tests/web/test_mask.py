"""What jobs were given and gave is masked everywhere, but for what a declaration allows."""

from __future__ import annotations

import json

import pytest

from rollout.control.access import Role
from rollout.control.acts import Came
from rollout.desk.mask import MASKED, Mask, example_through, result_through, through
from rollout.errors import DeclarationError
from rollout.pipeline import SubPipeline
from rollout.shadow.compare import Compared, Comparison, compare
from rollout.wiring import arguments_in
from tests.builders import NAME
from tests.web.conftest import Office

SECRET = "hunter2"


def allowing(office: Office, *shown: str) -> None:
    """Let the office know a declaration that allows these fields."""
    pipeline = SubPipeline(NAME, effects="none", shown=shown)

    @pipeline.legacy
    def old(customer_id: int, pin: str) -> dict[str, object]:
        return {"customer_id": customer_id, "pin": pin}

    declared = {NAME: pipeline.declared}
    desk = office.world.runtime.desk
    object.__setattr__(desk, "mask", Mask(declared.get, arguments_in))


def test_nothing_is_seen_without_a_declaration(office: Office) -> None:
    """The page may run where the app cannot be imported: then everything is masked."""
    office.failed("f1")
    values = office.client.get("/api/v1/jobs/f1").json()
    assert values["arguments"] is None
    assert SECRET not in json.dumps(values)


def test_a_declaration_allows_fields(office: Office) -> None:
    """API and page show them, and how many are masked beside them."""
    allowing(office, "customer_id")
    office.failed("f1")
    values = office.client.get("/api/v1/jobs/f1").json()
    assert values["arguments"] == {"customer_id": 7, "pin": MASKED}
    page = office.client.get("/jobs/f1").text
    assert "customer_id=7; 1 more masked" in page
    assert SECRET not in page


def test_a_result_is_seen_field_by_field() -> None:
    """Only an object has fields; everything else is masked, and nothing stays nothing."""
    shown = frozenset({"total"})
    assert result_through('{"total": 3, "iban": "DE1"}', shown) == {"total": 3, "iban": MASKED}
    for hidden in ('{"iban": "DE1"}', "[1]", '"text"', "no JSON"):
        assert result_through(hidden, shown) == MASKED
    assert result_through('{"total": 3}', frozenset()) == MASKED
    assert result_through(None, shown) is None
    assert through({"a": 1}, frozenset()) == {"a": MASKED}


@pytest.mark.parametrize(
    ("signature", "seen"),
    [
        ("total", True), ("total (type)", True), ("lines[].total", False), ("iban", False),
        ("total, iban", False), ("total.net", True), ("", False), ("$", False),
    ],
)  # fmt: skip
def test_an_example_is_seen_where_all_its_fields_are(signature: str, seen: bool) -> None:
    """One field beside the allowed ones hides all of it."""
    example = example_through(signature, "3 against 4", frozenset({"total"}))
    assert example == ("3 against 4" if seen else MASKED)


def test_an_example_of_many_fields_shows_none_that_its_signature_leaves_out() -> None:
    """A result with one field that is masked before dozens in one that may be seen."""
    parts = [f"part_{number:02}" for number in range(40)]
    old = {"sum": {"pin": "10115"}, "sum-net": dict.fromkeys(parts, 0)}
    new = {"sum": {"pin": "80331"}, "sum-net": dict.fromkeys(parts, 1)}
    found = compare(Comparison(), old, new)
    assert isinstance(found, Compared)
    assert "80331" in found.diff()
    assert "pin" not in found.signature
    assert example_through(found.signature, found.diff(), frozenset({"sum-net"})) == MASKED


@pytest.mark.parametrize("shown", ["customer_id", [""], [1]])
def test_a_declaration_that_cannot_be(shown: object) -> None:
    """Text alone would be letters; the error says what to write."""
    with pytest.raises(DeclarationError, match="names of arguments"):
        SubPipeline("letters", effects="none", shown=shown)  # type: ignore[arg-type]


def test_revealing_by_api_is_an_act(office: Office) -> None:
    """Who may not is refused; the log has both, and no answer is kept for a second asking."""
    office.failed("f1")
    path = "/api/v1/jobs/f1/reveal"
    assert office.bearer(Role.SAFER_ONLY).post(path, json={}).status_code == 403
    body, headers = {"reason": "wrong address"}, {"Idempotency-Key": "k"}
    (shown,) = office.client.post(path, json=body, headers=headers).json()["revealed"]
    assert SECRET in shown["arguments"]
    done, refused = office.world.ledger.acts(NAME, 2)
    assert (done.action, done.came, done.reason) == ("reveal", Came.DONE, "wrong address")
    assert (refused.action, refused.came) == ("reveal", Came.REFUSED)
    again = office.client.post(path, json=body, headers=headers)
    assert "idempotent-replayed" not in again.headers
    assert len(office.world.ledger.acts(NAME, 9)) == 3


def test_messages_are_masked_and_revealed(office: Office) -> None:
    """Headers and bodies are what producers wrote."""
    now = office.world.clock.now()
    office.world.ledger.keep_message("q.legacy", "not JSON", '{"a": 1}', SECRET, now)
    assert SECRET not in office.client.get("/api/v1/messages").text
    assert SECRET in office.client.post("/api/v1/messages/reveal", json={}).text
    (act, *_) = office.world.ledger.acts(None, 1)
    assert (act.action, act.said) == ("reveal", "refused messages")


def test_nothing_is_revealed_by_api_that_cannot_be_noted(office: Office) -> None:
    """A ledger that takes no act shows nothing."""
    office.failed("f1")
    office.world.line.cut("note_act")
    answer = office.client.post("/api/v1/jobs/f1/reveal", json={})
    assert answer.status_code == 503
    assert SECRET not in answer.text
