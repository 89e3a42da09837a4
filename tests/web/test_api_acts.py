"""What the API does: each answer is the state read back, each refusal changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.control.access import Role
from rollout.control.acts import Act, Came
from rollout.policy.policy import Policies, Policy
from rollout.routing.stages import Event
from tests.builders import NAME
from tests.web.conftest import Office

HERE = f"/api/v1/sub-pipelines/{NAME}"


def acts(office: Office) -> list[Act]:
    """The log of acts, newest first."""
    return office.world.ledger.acts(None, 20)


def state(office: Office) -> tuple[str, int, bool, int]:
    """What must not change by a refusal."""
    one = office.world.ledger.control(NAME)
    return str(one.stage), one.scope_bp, one.killed, one.revision


def test_a_kill_answers_with_what_is_true(office: Office) -> None:
    """Both halves are read back from store and ledger, and the jobs are on their way."""
    office.waiting(3)
    office.running("r1")
    answer = office.client.post(f"{HERE}/kill", json={"reason": "wrong totals"})
    values = answer.json()
    assert answer.status_code == 200
    assert (values["starts_blocked"], values["commits_fenced"], values["holds"]) == (True,) * 3
    assert (values["waiting"], values["running"]) == (0, 0)
    assert (values["kill"]["queued_sent_back"], values["kill"]["running_abandoned"]) == (3, 1)
    assert office.world.ledger.control(NAME).killed
    assert acts(office)[0].came is Came.DONE
    assert acts(office)[0].origin.request_id == values["request_id"]


def test_a_second_kill_is_harmless_and_says_so(office: Office) -> None:
    """It answers as the first one does; the log says that it was so already."""
    for _ in range(2):
        answer = office.client.post(f"{HERE}/kill", json={"reason": "x"})
        assert answer.json()["holds"]
    assert [one.came for one in acts(office)[:2]] == [Came.NOTHING, Came.DONE]


def test_a_kill_asks_for_no_precondition(office: Office) -> None:
    """An old revision refuses a change, never a kill."""
    answer = office.client.post(f"{HERE}/kill", json={}, headers={"If-Match": '"1"'})
    assert answer.status_code == 200
    assert answer.json()["holds"]


def test_a_kill_without_the_store_fences(office: Office) -> None:
    """One half is said to hold, and which one is missing."""
    office.world.control.reachable = False
    values = office.client.post(f"{HERE}/kill", json={"reason": "x"}).json()
    assert (values["starts_blocked"], values["commits_fenced"]) == (None, True)
    assert "did not answer" in values["store_error"]


def test_a_kill_without_the_ledger_blocks_starts(office: Office) -> None:
    """The latch is set though neither reason nor act can be kept."""
    office.world.line.cut()
    values = office.client.post(f"{HERE}/kill", json={"reason": "x"}).json()
    assert (values["starts_blocked"], values["commits_fenced"]) == (True, None)
    office.world.line.mend()
    assert office.world.control.read(NAME).killed


def test_a_token_opens_a_kill_while_the_ledger_is_away(office: Office) -> None:
    """A token that was seen lately may still do what is safer, and nothing else."""
    client = office.bearer(Role.ADMIN)
    assert client.get("/api/v1/sub-pipelines").status_code == 200
    office.world.line.cut()
    assert client.post(f"{HERE}/kill", json={}).json()["starts_blocked"] is True
    refused = client.post(f"{HERE}/scope", json={"scope_bp": 1})
    assert refused.status_code in (403, 503)


def test_a_change_is_read_back(office: Office) -> None:
    """The answer holds the sub-pipeline as ledger and gate have it now."""
    values = office.client.post(f"{HERE}/scope", json={"scope_bp": 2500, "reason": "less"}).json()
    assert values["state"]["scope_bp"] == 2500
    assert values["state"]["observed_revision"] == values["state"]["revision"]
    assert values["changed"]["revision"] == values["state"]["revision"]
    (record, *_) = office.world.ledger.transitions(NAME, 1)
    assert (record.actor, record.reason) == ("ana", "less")


def test_a_stale_revision_is_told_the_present_one(office: Office) -> None:
    """412 with the current state; the same change on the right revision passes."""
    seen = office.client.get(HERE).headers["etag"]
    office.world.runtime.changes.change(NAME, Event.FREEZE, "bo", "stocktaking")
    refused = office.client.post(f"{HERE}/unfreeze", json={}, headers={"If-Match": seen})
    assert refused.status_code == 412
    assert refused.json()["type"] == "urn:rollout:problem:stale-revision"
    newest = f'"{refused.json()["current"]["revision"]}"'
    assert office.client.post(
        f"{HERE}/unfreeze", json={}, headers={"If-Match": newest}
    ).json()["state"]["frozen"] is False  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "says"),
    [
        (f"{HERE}/scope", {"scope_bp": 12_000}, 422, "scope-out-of-range", "got 12000"),
        (f"{HERE}/scope", {"scope_bp": "abc"}, 400, "bad-request", "got 'abc'"),
        (f"{HERE}/scope", {"scope_bp": True}, 400, "bad-request", "got True"),
        (f"{HERE}/scope", {}, 400, "bad-request", "scope_bp"),
        (f"{HERE}/revert", {"reason": " "}, 422, "reason-missing", "needs a reason"),
        (f"{HERE}/rearm", {"reason": "x"}, 409, "illegal-transition", "not killed"),
        (f"{HERE}/start", {"reason": "x"}, 409, "illegal-transition", "in stage split"),
        (f"{HERE}/freeze", {"reason": "x", "why": 1}, 400, "bad-request", "why"),
        (f"{HERE}/freeze", {"reason": "x" * 10_001}, 400, "bad-request", "10000"),
        ("/api/v1/sub-pipelines/invoice/kill", {}, 404, "unknown-sub-pipeline", "did you mean"),
        ("/api/v1/sub-pipelines/invoice/freeze", {}, 404, "unknown-sub-pipeline", "did you mean"),
    ],
)
def test_bad_input_is_a_sentence_and_changes_nothing(
    office: Office, path: str, body: dict[str, Any], status: int, kind: str, says: str
) -> None:
    """What was expected, what came, what to do; nothing is changed."""
    before = state(office)
    answer = office.client.post(path, json=body)
    values = answer.json()
    assert answer.status_code == status == values["status"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert values["type"] == f"urn:rollout:problem:{kind}"
    assert says in values["detail"]
    assert values["todo"]
    assert values["request_id"] == answer.headers["x-request-id"]
    assert state(office) == before


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe", b"{" * 50_000, b'"x"'])
def test_a_body_that_is_no_object_is_refused(office: Office, body: bytes) -> None:
    """Also one that is nested without end."""
    before = state(office)
    answer = office.client.post(
        f"{HERE}/freeze", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert state(office) == before


def test_refusals_are_in_the_log(office: Office) -> None:
    """Illegal changes and unknown names, with who asked and what was answered."""
    office.client.post(f"{HERE}/start", json={"reason": "again"})
    office.client.post("/api/v1/sub-pipelines/invoice/freeze", json={})
    unknown, illegal = acts(office)[:2]
    assert (illegal.came, illegal.action, illegal.reason) == (Came.REFUSED, "start", "again")
    assert "cannot 'start'" in illegal.said
    assert (unknown.came, unknown.name) == (Came.REFUSED, "invoice")


def test_what_changes_nothing_is_in_the_log(office: Office) -> None:
    """Freezing what is frozen is no refusal, and no change either."""
    for _ in range(2):
        office.client.post(f"{HERE}/freeze", json={"reason": "stocktaking"})
    assert [one.came for one in acts(office)[:2]] == [Came.NOTHING, Came.DONE]


@pytest.mark.parametrize(
    ("word", "body", "says"),
    [
        ("kill", {}, "2 waiting, 1 running go to legacy"),
        ("scope", {"scope_bp": 100}, "scope 100 % becomes 1 %"),
        ("revert", {"reason": "x"}, "stage split becomes legacy"),
        ("freeze", {}, "may not grow"),
    ],
)
def test_a_dry_run_says_the_consequences(
    office: Office, word: str, body: dict[str, Any], says: str
) -> None:
    """In words and numbers, and nothing is changed."""
    office.waiting(2)
    office.running("r1")
    before = state(office)
    values = office.client.post(f"{HERE}/{word}?dry_run=true", json=body).json()
    assert values["dry_run"] is True
    assert says.lower() in values["sentence"].lower()
    assert state(office) == before


def test_a_key_acts_once(office: Office) -> None:
    """The same request under the same key gets the same answer; another body is refused."""
    headers = {"Idempotency-Key": "k-1"}
    first = office.client.post(f"{HERE}/freeze", json={"reason": "x"}, headers=headers)
    again = office.client.post(f"{HERE}/freeze", json={"reason": "x"}, headers=headers)
    other = office.client.post(f"{HERE}/freeze", json={"reason": "y"}, headers=headers)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert other.status_code == 422
    assert other.json()["type"] == "urn:rollout:problem:key-reused"
    assert len([one for one in acts(office) if one.action == "freeze"]) == 1


def test_a_key_of_a_refused_request_is_free(office: Office) -> None:
    """A refusal is not kept: the request may be right a minute later."""
    headers = {"Idempotency-Key": "k-2"}
    body = {"reason": "mended"}
    assert office.client.post(f"{HERE}/rearm", json=body, headers=headers).status_code == 409
    office.client.post(f"{HERE}/kill", json={})
    assert office.client.post(f"{HERE}/rearm", json=body, headers=headers).status_code == 200


def test_a_second_person_rearms(office: Office) -> None:
    """By policy whoever killed may not lift it; a colleague may."""
    office.world.runtime.policies = Policies(default=Policy(rearm_second_person=True))
    killer, colleague = office.bearer(Role.ADMIN), office.client
    killer.post(f"{HERE}/kill", json={"reason": "x"})
    refused = killer.post(f"{HERE}/rearm", json={"reason": "mended"})
    assert refused.status_code == 403
    assert "second person" in refused.json()["detail"]
    assert office.world.ledger.control(NAME).killed
    assert colleague.post(f"{HERE}/rearm", json={"reason": "mended"}).status_code == 200
    assert not office.world.ledger.control(NAME).killed


def test_kill_and_rearm_of_all(office: Office) -> None:
    """One request each; what is true is read back over all sub-pipelines."""
    office.world.declare(name="payments")
    killed = office.client.post("/api/v1/kill", json={"reason": "everything"}).json()
    assert killed["holds"]
    assert sorted(killed["kill"]["names"]) == ["invoices", "payments"]
    rearmed = office.client.post("/api/v1/rearm", json={"reason": "mended"}).json()
    assert len(rearmed["rearmed"]) == 2


def test_failures_are_retried_after_a_preview(office: Office) -> None:
    """All that match, at the caller's pace; what is left is said."""
    for number in range(3):
        office.failed(f"f{number}", f"ValueError: no address of {number}")
    body = {"sub_pipeline": NAME, "limit": 2}
    preview = office.client.post("/api/v1/jobs/retry?dry_run=true", json=body).json()
    assert (preview["jobs"], preview["left"], len(preview["groups"])) == (2, True, 1)
    done = office.client.post("/api/v1/jobs/retry", json=body).json()
    assert len(done["retried"]) == 2
    assert (done["skipped"], done["left"]) == (0, True)
    again = office.client.post("/api/v1/jobs/retry", json={"ids": ["f0", "f1", "f2"]}).json()
    assert again["skipped"] == 2


def test_a_retry_of_both_or_neither_is_refused(office: Office) -> None:
    """Ids or a sub-pipeline."""
    for body in ({}, {"ids": ["f1"], "sub_pipeline": NAME}):
        assert office.client.post("/api/v1/jobs/retry", json=body).status_code == 400
