"""What strangers try: from a shared address, through a careless proxy, with another's token."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rollout.control.access import Role
from rollout.desk.job_search import NoWholeId
from rollout.desk.standing import Judged
from rollout.desk.workers import ActiveTask, Hanging
from rollout.jobs.claims import JobState
from rollout.routing.effects import Effects
from tests.builders import NAME
from tests.web.conftest import Office, OpenOffice

HERE = f"/api/v1/sub-pipelines/{NAME}"


@pytest.fixture
def guarded(open_office: OpenOffice) -> Office:
    """A site where everybody signs in, with two sub-pipelines."""
    office = open_office(web_sign_in="token")
    office.declare()
    office.declare("payments")
    return office


# A shared address ------------------------------------------------------------------------


def test_guessing_keeps_nobody_else_out(guarded: Office) -> None:
    """Whoever guesses from an address uses up its tries, and neither work there nor a kill."""
    at_work, on_call = guarded.bearer(Role.VIEWER), guarded.bearer(Role.SAFER_ONLY)
    assert at_work.get("/api/v1/health").status_code == 200
    wrong = guarded.another(authorization="Bearer x")
    while wrong.get("/api/v1/health").status_code != 429:
        pass
    assert at_work.get("/api/v1/health").status_code == 200
    assert on_call.post(f"{HERE}/kill", json={"reason": "x"}).status_code == 200
    assert wrong.post(f"{HERE}/kill", json={"reason": "x"}).status_code == 429
    assert guarded.bearer(Role.VIEWER).get("/api/v1/health").status_code == 429, "a new one waits"


HEADER = {
    "web_sign_in": "header",
    "web_proxies": ("10.0.0.0/8",),
    "web_roles": {"cara": "admin", "staff": "viewer"},
}


@pytest.mark.parametrize(
    ("said", "noted"),
    [
        ("", "10.1.2.3"),
        ("203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7, 10.9.9.9", "203.0.113.7"),
        ("203.0.113.7, nonsense", "10.1.2.3"),
    ],
)
def test_the_log_has_the_client_that_a_trusted_proxy_names(
    open_office: OpenOffice, said: str, noted: str
) -> None:
    """The last that is no proxy of ours: what stands before it, anybody may have written."""
    office = open_office(**HEADER)
    office.declare()
    headers = {"x-forwarded-user": "cara", "x-forwarded-for": said}
    office.another("10.1.2.3", **headers).post(f"{HERE}/freeze", json={"reason": "x"})
    (act,) = office.world.ledger.acts(NAME, 1)
    assert act.origin.address == noted


def test_nobody_else_says_where_it_comes_from(guarded: Office) -> None:
    """Without a proxy that is trusted the address is that of the connection."""
    client = guarded.another(
        authorization=f"Bearer {guarded.token(Role.ADMIN)}", **{"x-forwarded-for": "203.0.113.7"}
    )
    client.post(f"{HERE}/freeze", json={"reason": "x"})
    (act,) = guarded.world.ledger.acts(NAME, 1)
    assert act.origin.address == "127.0.0.1"


def test_a_header_that_comes_twice_names_nobody(open_office: OpenOffice) -> None:
    """A proxy that adds its header to the client's own lets the client choose a name."""
    office = open_office(**HEADER)
    office.declare()
    client = office.another("10.1.2.3")
    twice = [("x-forwarded-user", "cara"), ("x-forwarded-user", "mallory")]
    answer = client.get("/api/v1/health", headers=twice)
    assert answer.status_code == 401
    assert "2 times" in answer.json()["detail"]
    groups = [
        ("x-forwarded-user", "m"),
        ("x-forwarded-groups", "staff"),
        ("x-forwarded-groups", ""),
    ]
    assert client.get("/api/v1/health", headers=groups).status_code == 401


# Other sites -----------------------------------------------------------------------------


@pytest.mark.parametrize("names", [(), ("127.0.0.1",)])
def test_another_port_of_our_name_is_another_site(
    open_office: OpenOffice, names: tuple[str, ...]
) -> None:
    """Cookies know no ports, so the origin has to; also where the settings name the host."""
    office = open_office(web_hosts=names)
    office.declare()
    for origin, status in (("http://127.0.0.1:9999", 403), ("http://127.0.0.1", 200)):
        headers = {"host": "127.0.0.1", "origin": origin}
        answer = office.another(**headers).post(f"{HERE}/freeze", json={"reason": "x"})
        assert answer.status_code == status, origin


def test_our_name_behind_a_proxy_that_hands_on_its_own(open_office: OpenOffice) -> None:
    """The proxy asks for 127.0.0.1; the name that browsers ask for is in the settings."""
    office = open_office(web_hosts=("rollout.example",))
    office.declare()
    for origin, status in (("https://rollout.example:8443", 200), ("https://evil.example", 403)):
        answer = office.another(origin=origin).post(f"{HERE}/freeze", json={"reason": "x"})
        assert answer.status_code == status, origin


@pytest.mark.parametrize("given", ["//[", "/x//[", "http://["])
def test_an_address_that_is_none_leads_to_the_overview(guarded: Office, given: str) -> None:
    """A bracket that nothing closes is no defect of the sign-in."""
    client = guarded.another()
    assert client.get("/sign-in", params={"next": given}).status_code == 200
    answer = client.post("/sign-in", data={"token": guarded.token(Role.VIEWER), "next": given})
    assert answer.status_code == 303


# Another's jobs --------------------------------------------------------------------------


def test_another_s_job_is_as_unknown_as_one_that_is_not(guarded: Office) -> None:
    """Neither its sub-pipeline nor its id is told, by its id or its beginning."""
    guarded.failed("salary-17", name="payments")
    guarded.failed("salary-18", name="payments")
    client = guarded.bearer(Role.OPERATOR, NAME)
    for path in ("/api/v1/jobs/salary-17", "/jobs/salary-17", "/api/v1/jobs/sala", "/jobs/sala"):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert "no job with id" in answer.text
        assert "payments" not in answer.text
        assert "salary-18" not in answer.text
    for path, body in (
        ("/api/v1/jobs/salary-17/reveal", {}),
        ("/api/v1/jobs/retry", {"ids": ["sala"]}),
    ):
        answer = client.post(path, json=body)
        assert (answer.status_code, "payments" in answer.text) == (404, False), path
    assert client.post("/jobs/salary-17/reveal", data={}).status_code == 404


def test_one_s_own_job_is_found_where_another_has_its_id(guarded: Office) -> None:
    """Two sub-pipelines may have jobs of one id; each is its owner's to see and to retry."""
    for name in (NAME, "payments"):
        guarded.failed("job-2026", name=name)
    client = guarded.bearer(Role.OPERATOR, NAME)
    assert client.get("/api/v1/jobs/job-2026").json()["name"] == NAME
    assert client.post("/api/v1/jobs/retry", json={"ids": ["job-"]}).status_code == 200
    states = [guarded.world.ledger.job(name, "job-2026").state for name in (NAME, "payments")]
    assert states == [JobState.ACCEPTED, JobState.FAILED]
    guarded.failed("job-2027", name="payments")
    with pytest.raises(NoWholeId):
        guarded.world.runtime.desk.job("job-")


def test_another_s_decision_and_drill_are_unknown(guarded: Office) -> None:
    """Numbers can be counted up: what answers them tells no name."""
    guarded.world.ledger.ensure("payments", Effects.COMMIT, 0, guarded.world.clock.now())
    guarded.world.runtime.tick.turn()
    (made, *_) = guarded.world.ledger.decisions("payments", 1)
    client = guarded.bearer(Role.VIEWER, NAME)
    for path in (
        f"/api/v1/decisions/{made.decision_id}",
        f"/api/v1/decisions/{made.decision_id}/replay",
        f"/decisions/{made.decision_id}",
        "/api/v1/drills/d1",
        "/drills/d1",
    ):
        answer = client.get(path)
        assert (answer.status_code, "payments" in answer.text) == (404, False), path
    own = guarded.bearer(Role.VIEWER, "payments")
    assert own.get(f"/api/v1/decisions/{made.decision_id}").status_code == 200


def test_nothing_of_others_stands_beside_one_s_own(guarded: Office) -> None:
    """Neither a process that hangs there, nor which policy differs, nor a kill of all."""
    world = guarded.world
    task = ActiveTask("w1@host", 4711, "salary-17", "payments.concurrent", world.clock.now())
    hanging = tuple(Hanging(name, task, timedelta(minutes=1)) for name in ("payments", NAME))
    board = replace(
        world.runtime.desk.standing(Judged()), hanging=hanging, policy_difference="payments differs"
    )
    mine, everything = board.only(frozenset({NAME})).to_json(), board.only(None).to_json()
    assert [one["name"] for one in mine["hanging"]] == [NAME]
    assert mine["policy_difference"] is None
    assert len(everything["hanging"]) == 2
    assert guarded.bearer(Role.ADMIN, NAME).get("/killed").status_code == 400
    assert guarded.bearer(Role.VIEWER).get("/killed").status_code == 200


# Keys, dry runs and the log --------------------------------------------------------------


def test_a_key_is_taken_by_nobody_who_may_not(open_office: OpenOffice) -> None:
    """A page that changes nothing writes no answer; a dry run is refused, too."""
    office = open_office(web_read_only=True)
    office.declare()
    office.failed("f1")
    ledger, taken = office.world.line, []
    ledger.before = lambda name: taken.append(name) if name == "begin_answer" else None
    headers = {"Idempotency-Key": "k-1"}
    asked: dict[str, dict[str, str]] = {
        f"{HERE}/freeze": {}, f"{HERE}/rearm": {"reason": "x"}, f"{HERE}/kill": {},
        "/api/v1/kill": {}, "/api/v1/rearm": {"reason": "x"},
        "/api/v1/jobs/retry": {"sub_pipeline": NAME}, "/api/v1/jobs/f1/reveal": {},
        f"{HERE}/mismatches/reveal": {}, "/api/v1/messages/reveal": {},
    }  # fmt: skip
    for query in ("", "?dry_run=true"):
        for path, body in asked.items():
            answer = office.client.post(path + query, json=body, headers=headers)
            assert answer.status_code == 403, path + query
    assert taken == []


def test_nothing_to_retry_is_no_refusal(guarded: Office) -> None:
    """A token for one sub-pipeline, without a kept failure there."""
    client = guarded.bearer(Role.OPERATOR, NAME)
    answer = client.post("/api/v1/jobs/retry", json={"sub_pipeline": NAME})
    assert (answer.status_code, answer.json()["retried"]) == (200, [])
    assert client.post("/jobs/retry", data={"name": NAME}).status_code == 200


def test_a_form_for_another_s_sub_pipeline_is_in_the_log(guarded: Office) -> None:
    """As at the API's door; it is refused as unknown."""
    client = guarded.bearer(Role.ADMIN, NAME)
    for path, action in (
        ("/sub-pipelines/payments/kill", "kill"),
        ("/sub-pipelines/payments/rearm", "rearm"),
        ("/sub-pipelines/payments/change/freeze", "freeze"),
        ("/sub-pipelines/payments/drill", "drill"),
        ("/sub-pipelines/payments/end-drill", "end-drill"),
    ):
        assert client.post(path, data={}).status_code == 404, path
        (act,) = guarded.world.ledger.acts("payments", 1)
        assert (act.action, str(act.came)) == (action, "refused")


def test_an_act_that_a_defect_ended_is_in_the_log(guarded: Office) -> None:
    """It may be in force, or half of it: the log says that somebody tried, and of what it died."""

    def breaks(name: str) -> None:
        if name == "change":
            raise RuntimeError("a defect")

    guarded.world.line.before = breaks
    client = guarded.bearer(Role.ADMIN)
    assert client.post(f"{HERE}/freeze", json={"reason": "x"}).status_code == 500
    guarded.world.line.before = lambda name: None
    (act,) = guarded.world.ledger.acts(NAME, 1)
    assert (act.action, str(act.came), act.said) == ("freeze", "unanswered", "RuntimeError")


# Addresses and caches --------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/jobs/%00", "/sub-pipelines/a%00b", "/api/v1/jobs/f%00", "/jobs?q=f%00", "/%00"]
)
def test_a_nul_is_refused_before_any_database_is_asked(office: Office, path: str) -> None:
    """PostgreSQL takes none in a text, which would be a defect of the page."""
    office.world.line.cut()
    assert office.client.get(path).status_code == 400


def test_a_nul_in_a_body_is_refused(office: Office) -> None:
    """Ids, names and cursors."""
    for body in ({"ids": ["f\x00"]}, {"sub_pipeline": "f\x00"}):
        assert office.client.post("/api/v1/jobs/retry", json=body).status_code == 400, body
    assert office.client.post("/jobs/retry", data={"name": "f\x00"}).status_code == 400


@pytest.mark.parametrize("given", ["--5", "-", "+5", "5 5", "\u0665", "1" * 18])
def test_a_number_that_is_none_is_a_sentence(office: Office, given: str) -> None:
    """Not a defect."""
    answer = office.client.post(
        f"/sub-pipelines/{NAME}/change/scope", data={"scope_bp": given, "reason": "x"}
    )
    assert answer.status_code == 400


def test_no_page_is_kept_whatever_a_sub_pipeline_is_called(open_office: OpenOffice) -> None:
    """Only our own files may be kept by a browser; `static` is a name like others."""
    office = open_office()
    office.declare("static")
    for path in ("/sub-pipelines/static/kill", "/api/v1/sub-pipelines/static/why"):
        assert office.client.get(path).headers["cache-control"] == "no-store", path
    assert "no-store" not in office.client.get("/static/page.css").headers.get("cache-control", "")
