"""What the API shows: bounded, page by page, masked, with its time."""

from __future__ import annotations

import pytest

from rollout.control.access import Role
from tests.builders import NAME
from tests.web.conftest import Office

HERE = f"/api/v1/sub-pipelines/{NAME}"


def test_a_sub_pipeline_has_conditions(office: Office) -> None:
    """As Kubernetes has them, with the revision that starts decide on."""
    values = office.client.get(HERE).json()
    kinds = {one["type"]: one["status"] for one in values["conditions"]}
    assert kinds["Killed"] == "False"
    assert kinds["ConcurrentStarts"] == "True"
    assert values["observed_revision"] == values["revision"]
    assert values["as_of"]
    assert values["late"] is None


def test_each_resource_answers(office: Office) -> None:
    """Every list and page has a body of the desk."""
    office.failed("f1")
    for path in (
        "/api/v1/sub-pipelines", HERE, f"{HERE}/why", f"{HERE}/history", f"{HERE}/policy",
        "/api/v1/policy/check", "/api/v1/jobs?kind=failed", "/api/v1/jobs/f1", "/api/v1/messages",
        "/api/v1/drills", "/api/v1/acts", "/api/v1/health",
    ):  # fmt: skip
        answer = office.client.get(path)
        assert answer.status_code == 200, path
        assert isinstance(answer.json(), dict)


def test_jobs_come_page_by_page(office: Office) -> None:
    """A cursor, no offset: each job once, none left out, though all have one time."""
    office.waiting(5)
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        query = f"/api/v1/jobs?kind=waiting&sub_pipeline={NAME}&limit=2"
        page = office.client.get(query + (f"&cursor={cursor}" if cursor else "")).json()
        seen += [one["job_id"] for one in page["jobs"]]
        cursor = page["next"]
    assert seen == [f"waits-{number}" for number in range(5)]
    assert cursor is None


def test_acts_come_page_by_page(office: Office) -> None:
    """Newest first."""
    for _ in range(3):
        office.client.post(f"{HERE}/freeze", json={})
    first = office.client.get("/api/v1/acts?limit=2").json()
    second = office.client.get(f"/api/v1/acts?limit=2&cursor={first['next']}").json()
    ids = [one["id"] for one in first["acts"] + second["acts"]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 3


@pytest.mark.parametrize(
    "query",
    [
        "kind=failed&cursor=zzz", "kind=failed&cursor=WzFd", "kind=nonsense", "kind=failed&limit=0",
        "kind=failed&limit=1001", "kind=failed&since=1999-01-01T00:00:00Z",
        "kind=failed&since=yesterday", "",
    ],
)  # fmt: skip
def test_queries_that_cannot_be_read(office: Office, query: str) -> None:
    """A sentence, never a defect."""
    answer = office.client.get(f"/api/v1/jobs?{query}")
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_results_and_arguments_are_masked(office: Office) -> None:
    """Neither a list nor a job shows them, and revealing is an act of its own."""
    office.failed("f1")
    for path in ("/api/v1/jobs?kind=failed", "/api/v1/jobs/f1", "/jobs/f1"):
        assert "hunter2" not in office.client.get(path).text
    shown = office.client.post("/jobs/f1/reveal")
    assert "hunter2" in shown.text
    (act, *_) = office.world.ledger.acts(None, 1)
    assert (act.action, act.said) == ("reveal", "job f1")


def test_nothing_is_revealed_that_cannot_be_noted(office: Office) -> None:
    """A ledger that takes no act shows no argument."""
    office.failed("f1")
    office.world.line.cut("note_act")
    assert "hunter2" not in office.client.post("/jobs/f1/reveal").text


def test_a_token_sees_its_own(office: Office) -> None:
    """What is beside it does not exist for it, and is not told by an error either."""
    office.world.declare(name="payments")
    client = office.bearer(Role.VIEWER, "payments")
    names = [one["name"] for one in client.get("/api/v1/sub-pipelines").json()["sub_pipelines"]]
    assert names == ["payments"]
    refused = client.get(HERE)
    assert refused.status_code == 404
    assert "invoices'" not in refused.json()["detail"].replace("named 'invoices'", "")
    assert client.get("/api/v1/jobs?kind=failed").status_code == 400
    assert client.get("/api/v1/jobs?kind=failed&sub_pipeline=payments").status_code == 200


def test_a_request_id_is_kept_or_drawn(office: Office) -> None:
    """A caller's own comes back when it is one; another is replaced."""
    given = office.client.get("/api/v1/health", headers={"X-Request-Id": "trace-7"})
    assert given.headers["x-request-id"] == "trace-7"
    wrong = office.client.get("/api/v1/health", headers={"X-Request-Id": "a b\x01" + "c" * 99})
    assert wrong.headers["x-request-id"] not in ("", "a b\x01" + "c" * 99)
