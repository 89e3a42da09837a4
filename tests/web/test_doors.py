"""Who comes in: every route with no, wrong, expired and too weak credentials, and foreign sites."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from rollout.control.access import LEAST_ROLE, Role
from rollout.errors import WrongSettings
from rollout.routing.stages import Event
from rollout.web import (
    acts,
    drill_acts,
    drill_pages,
    forms,
    job_acts,
    kill_pages,
    live,
    ofrep,
    pages,
    reads,
    signing,
)
from rollout.web.app import create_app
from rollout.web.callers import COOKIE
from rollout.web.problems import TYPES
from tests.builders import NAME
from tests.web.conftest import OURS, Office, OpenOffice

ROOMS = (
    reads, acts, job_acts, drill_acts, ofrep, live, forms, kill_pages, drill_pages, pages,
)  # fmt: skip
OPEN = {"/sign-in", "/sign-out"}
VALUES = {
    "{name}": NAME, "{job_id}": "f1", "{decision_id}": "1", "{drill_id}": "d1", "{key}": NAME,
    "{word}": "freeze",
}  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "scope": {"scope_bp": 100},
    "retry": {"ids": ["f1"]},
    "drill": {"drill": {}},
}


def routes() -> Iterator[tuple[str, str]]:
    """Method and path of every route but those of the sign-in."""
    for room in ROOMS:
        for route in room.router.routes:
            assert isinstance(route, APIRoute)
            path = route.path
            for name, value in VALUES.items():
                path = path.replace(name, value)
            yield from ((method, path) for method in sorted(route.methods or ()))


ROUTES = sorted(set(routes()))


def least(method: str, path: str) -> Role:
    """The role that a route takes, by its last word."""
    if method == "GET" or path.startswith("/ofrep/"):
        return Role.VIEWER
    return LEAST_ROLE[path.rsplit("/", 1)[-1]]


def send(client: TestClient, method: str, path: str) -> Any:
    """Ask as somebody would who may."""
    if method == "GET":
        query = {"kind": "failed"} if path == "/api/v1/jobs" else {"name": NAME}
        return client.get(path, params=query)
    if path.startswith(("/api/", "/ofrep/")):
        body = BODIES.get(path.rsplit("/", 1)[-1], {"reason": "x"})
        return client.post(path, json=body)
    return client.post(path, data={"reason": "x", "name": NAME, "job_id": "f1", "typed": NAME})


def revision(office: Office) -> int:
    """What an action would raise."""
    return office.world.ledger.control(NAME).revision


@pytest.fixture
def guarded(open_office: OpenOffice) -> Office:
    """A site where everybody signs in."""
    office = open_office(web_sign_in="token")
    office.declare()
    office.failed("f1")
    return office


def test_the_table_knows_every_route() -> None:
    """A route that is added stands in the table below by itself; the sign-in stands apart."""
    assert len(ROUTES) >= 55
    paths = {route.path for route in signing.router.routes if isinstance(route, APIRoute)}
    assert paths >= OPEN


def test_nobody_comes_in_without_a_credential(guarded: Office) -> None:
    """Programs get 401, browsers the way to the sign-in; nothing is changed or told."""
    before = revision(guarded)
    for method, path in ROUTES:
        answer = send(guarded.another(), method, path)
        if path.startswith(("/api/", "/ofrep/")):
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["type"] == f"{TYPES}not-signed-in"
        elif method == "GET":
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/sign-in?next=")
        else:
            assert answer.status_code == 401, (method, path)
    assert revision(guarded) == before


def test_wrong_expired_and_revoked_tokens_open_nothing(guarded: Office) -> None:
    """Not one route, and a session that began with a token ends with it."""
    tokens = guarded.world.runtime.tokens
    expired, revoked = guarded.token(Role.ADMIN, days=0.5), guarded.token(Role.ADMIN, days=9)
    session = guarded.another()
    session.post("/sign-in", data={"token": revoked})
    assert session.get("/").status_code == 200
    guarded.world.clock.advance(86_400)
    token = tokens.of(revoked)
    assert token is not None
    tokens.revoke(token.token_id)
    before = revision(guarded)
    for secret in (expired, revoked, "rollout_wrong", "x" * 5000, "\x7f"):
        for method, path in ROUTES[:: 1 if secret == expired else 9]:
            guarded.app._site.rates.__init__()  # the limit of wrong tokens has a test of its own
            client = guarded.another(authorization=f"Bearer {secret}")
            assert send(client, method, path).status_code in (303, 401), (method, path)
    assert session.get("/").status_code == 303
    assert revision(guarded) == before


@pytest.mark.parametrize("role", list(Role)[:-1])
def test_a_role_that_is_too_weak_is_refused(guarded: Office, role: Role) -> None:
    """Each route that takes more than the role has; the refusal is in the log."""
    client = guarded.bearer(role)
    before = revision(guarded)
    tried = 0
    for method, path in ROUTES:
        if role.covers(least(method, path)):
            continue
        answer = send(client, method, path)
        assert answer.status_code == 403, (method, path, answer.text[:200])
        tried += 1
    refused = guarded.world.ledger.acts(None, 200)
    assert len(refused) == tried
    assert {str(one.came) for one in refused} == {"refused"}
    assert revision(guarded) == before


def test_safer_only_does_what_is_safer(guarded: Office) -> None:
    """Kill, freeze and revert, as an alert webhook would."""
    client = guarded.bearer(Role.SAFER_ONLY)
    for word in ("freeze", "revert", "kill"):
        path = f"/api/v1/sub-pipelines/{NAME}/{word}"
        assert client.post(path, json={"reason": "alert"}).status_code == 200, word


def test_a_token_of_another_sub_pipeline(guarded: Office) -> None:
    """It does nothing here, and the log has who tried."""
    guarded.world.declare(name="payments")
    client = guarded.bearer(Role.ADMIN, "payments")
    before = revision(guarded)
    answer = client.post(f"/api/v1/sub-pipelines/{NAME}/kill", json={"reason": "x"})
    assert answer.status_code == 404
    assert client.post("/api/v1/kill", json={}).status_code == 403
    assert client.post("/sub-pipelines/payments/kill", data={}).status_code == 303
    assert revision(guarded) == before
    assert [str(one.came) for one in guarded.world.ledger.acts(NAME, 1)] == ["refused"]


def test_read_only_changes_nothing(open_office: OpenOffice) -> None:
    """Not even a kill, by nobody; and no page shows a button."""
    office = open_office(web_read_only=True)
    office.declare()
    before = revision(office)
    for method, path in ROUTES:
        if method == "POST" and not path.startswith("/ofrep/"):
            assert send(office.client, method, path).status_code in (403, 404), path
    for path in ("/", f"/sub-pipelines/{NAME}"):
        assert 'class="kill"' not in office.client.get(path).text
    assert revision(office) == before


def test_viewers_see_no_button_that_they_cannot_use(guarded: Office) -> None:
    """They read how to stop something instead."""
    client = guarded.bearer(Role.VIEWER)
    guarded.world.runtime.changes.kill(NAME, "bo", "x")
    for path in ("/", f"/sub-pipelines/{NAME}", "/jobs?name=invoices", "/jobs/f1",
                 f"/sub-pipelines/{NAME}/killed"):  # fmt: skip
        text = client.get(path).text
        for word in ('class="kill"', "Rearm", "Retry", "Reveal", "Change invoices"):
            assert word not in text, (path, word)
        assert "rollout kill" in text


def test_a_session_is_a_cookie_that_scripts_cannot_read(guarded: Office) -> None:
    """HttpOnly, SameSite, secure behind TLS; signing out ends it at the ledger."""
    client = guarded.another()
    answer = client.post(
        "/sign-in", data={"token": guarded.token(Role.ADMIN), "next": "/jobs?name=invoices"},
        headers={"x-forwarded-proto": "https"},
    )  # fmt: skip
    assert answer.headers["location"] == "/jobs?name=invoices"
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "secure", "path=/"))
    secret = answer.cookies[COOKIE]
    holder = guarded.another(cookie=f"{COOKIE}={secret}")
    assert holder.get("/").status_code == 200
    holder.post("/sign-out")
    assert holder.get("/").status_code == 303


@pytest.mark.parametrize(
    "given", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x", "",
              "/a\r\nb: c"],
)  # fmt: skip
def test_the_way_after_the_sign_in_stays_here(guarded: Office, given: str) -> None:
    """Whatever another site put there leads to the overview."""
    answer = guarded.another().post(
        "/sign-in", data={"token": guarded.token(Role.VIEWER), "next": given}
    )
    assert answer.headers["location"] == "/"


def test_guessing_is_slow(guarded: Office) -> None:
    """A few attempts a minute from one address; wrong tokens as well."""
    client = guarded.another()
    answers = [client.post("/sign-in", data={"token": "x"}).status_code for _ in range(12)]
    assert answers[:10] == [401] * 10
    assert answers[10:] == [429] * 2
    wrong = guarded.another(authorization="Bearer x")
    codes = {wrong.get("/api/v1/health").status_code for _ in range(40)}
    assert codes == {401, 429}


def test_kills_have_a_bucket_of_their_own(office: Office) -> None:
    """Whoever has used up every other request may still kill."""
    rates = office.app._site.rates
    path = f"/api/v1/sub-pipelines/{NAME}"
    while office.client.post(f"{path}/freeze", json={}).status_code != 429:
        for _ in range(100):
            rates._limiter.hit(rates_of("write"), "write", "ana")
    assert office.client.post(f"{path}/kill", json={}).status_code == 200


def rates_of(what: str) -> Any:
    """The limit of a bucket."""
    from rollout.web.rates import LIMITS

    return LIMITS[what]


# Other sites -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": OURS},
    ],
)
def test_another_site_cannot_act(office: Office, headers: dict[str, str]) -> None:
    """Neither through the page's forms nor through the API; nothing is changed."""
    before = revision(office)
    for method, path in ROUTES:
        if method == "POST":
            client = office.another(**headers)
            assert send(client, method, path).status_code == 403, path
    assert revision(office) == before


def test_our_own_forms_act(office: Office) -> None:
    """A browser sends our origin, or says that it is the same."""
    for headers in ({"origin": OURS}, {"sec-fetch-site": "same-origin", "origin": OURS}):
        answer = office.another(**headers).post(f"/sub-pipelines/{NAME}/kill", data={})
        assert answer.status_code == 303


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "a b"])
def test_a_foreign_name_for_this_machine_is_refused(office: Office, host: str) -> None:
    """A page elsewhere may point its own name at us; nothing is shown to it."""
    answer = office.client.get("/", headers={"host": host})
    assert answer.status_code in (400, 403)
    assert NAME not in answer.text.replace("invoices'", "")


def test_names_that_are_ours(open_office: OpenOffice) -> None:
    """A proxy's name is said in the settings."""
    office = open_office(web_hosts=("rollout.example",))
    assert office.client.get("/", headers={"host": "rollout.example"}).status_code == 200
    assert office.client.get("/", headers={"host": "localhost:8464"}).status_code == 200


def test_every_answer_is_under_the_strict_policy(office: Office) -> None:
    """Pages, errors, files and the API; nothing but our own files is ever loaded."""
    for path in ("/", "/nothing", "/static/page.css", "/api/v1/health", "/api/v1/nothing"):
        headers = office.client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_a_probe_needs_nothing(open_office: OpenOffice) -> None:
    """No sign-in, no right name: it asks whether this process answers, and nothing else."""
    office = open_office(web_sign_in="token", web_hosts=("rollout.example",))
    answer = office.another().get("/healthz", headers={"host": "10.1.2.3:8464"})
    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert office.client.get("/", headers={"host": "10.1.2.3:8464"}).status_code == 403


# A proxy before it -----------------------------------------------------------------------


HEADER = {
    "web_sign_in": "header",
    "web_proxies": ("10.0.0.0/8",),
    "web_roles": {"cara": "admin", "on-call": "safer-only", "staff": "viewer"},
}


def test_a_trusted_proxy_names_people(open_office: OpenOffice) -> None:
    """Their own role first, else the largest of their groups."""
    office = open_office(**HEADER)
    office.declare()
    cara = office.another("10.1.2.3", **{"x-forwarded-user": "cara"})
    assert "cara" in cara.get("/").text
    dan = office.another(
        "10.1.2.3", **{"x-forwarded-user": "dan", "x-forwarded-groups": "staff, on-call"}
    )
    assert dan.post(f"/sub-pipelines/{NAME}/kill", data={}).status_code == 303
    assert dan.post(f"/api/v1/sub-pipelines/{NAME}/unfreeze", json={}).status_code == 403


def test_nobody_else_s_header_is_believed(open_office: OpenOffice) -> None:
    """Not from another address, not without a name, not of somebody without a role."""
    office = open_office(**HEADER)
    office.declare()
    for peer, person in (("127.0.0.1", "cara"), ("11.0.0.1", "cara"), ("10.1.2.3", "")):
        answer = office.another(peer, **{"x-forwarded-user": person}).get("/api/v1/health")
        assert answer.status_code == 401
    stranger = office.another("10.1.2.3", **{"x-forwarded-user": "mallory"})
    assert stranger.get("/api/v1/health").status_code == 403
    assert stranger.get("/").status_code == 403


@pytest.mark.parametrize("cut", [True, False])
def test_under_a_base_path(open_office: OpenOffice, cut: bool) -> None:
    """Links, redirects, cookies and OFREP, whether the proxy cuts the path off or not."""
    office = open_office(web_base_path="/ops/rollout", web_sign_in="token")
    office.declare()
    before = "" if cut else "/ops/rollout"
    client = office.another()
    away = client.get(f"{before}/jobs")
    assert away.headers["location"] == "/ops/rollout/sign-in?next=%2Fjobs"
    answer = client.post(
        f"{before}/sign-in", data={"token": office.token(Role.ADMIN), "next": "/jobs"}
    )
    assert answer.headers["location"] == "/ops/rollout/jobs"
    assert "path=/ops/rollout" in answer.headers["set-cookie"].lower()
    holder = office.another(cookie=f"{COOKIE}={answer.cookies[COOKIE]}")
    for path in ("", "/", f"/sub-pipelines/{NAME}", f"/sub-pipelines/{NAME}/", "/jobs/"):
        page = holder.get(before + path or "/")
        assert page.status_code == 200, path
        for link in page.text.split('href="')[1:] + page.text.split('action="')[1:]:
            assert link.startswith(("/ops/rollout", "#")), link[:60]
        assert 'data-events="/ops/rollout/events"' in page.text
    flags = holder.post(
        f"{before}/ofrep/v1/evaluate/flags", json={"context": {"targetingKey": "1"}}
    )
    assert flags.json()["eventStreams"][0]["url"] == "/ops/rollout/ofrep/v1/events"
    killed = holder.post(f"{before}/sub-pipelines/{NAME}/kill", data={})
    assert killed.headers["location"].startswith(f"/ops/rollout/sub-pipelines/{NAME}/killed")


# Starting --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"web_host": "0.0.0.0"}, "nobody has to sign in"),
        ({"web_host": "10.0.0.7"}, "nobody has to sign in"),
        ({"web_host": "::"}, "nobody has to sign in"),
        ({"web_sign_in": "header"}, "web_proxies names nobody"),
        ({"web_sign_in": "header", "web_proxies": ("10.0.0.0/99",)}, "must hold networks"),
        ({"web_sign_in": "oidc"}, "is not set"),
    ],
)
def test_it_refuses_to_serve_everybody(
    open_office: OpenOffice, settings: dict[str, Any], says: str
) -> None:
    """Beyond this machine without a sign-in, or with half of one."""
    runtime = open_office().world.runtime
    runtime.settings = runtime.settings.model_copy(update=settings)
    with pytest.raises(WrongSettings, match=says):
        create_app(runtime, "ana")


def test_beyond_this_machine_with_tokens(open_office: OpenOffice) -> None:
    """Then it may listen anywhere."""
    office = open_office(web_host="0.0.0.0", web_sign_in="token")
    assert office.bearer(Role.VIEWER).get("/api/v1/health").status_code == 200


def test_events_that_are_offered_are_those_of_the_stage_table() -> None:
    """Every event has its route."""
    words = {path.rsplit("/", 1)[-1] for method, path in ROUTES if method == "POST"}
    assert {str(event) for event in Event} <= words
