"""People sign in by OpenID Connect, at a provider that answers as one."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from rollout.control.access import Role
from rollout.web.callers import COOKIE
from tests.builders import NAME
from tests.web.conftest import OURS, Office, OpenOffice

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it uses a module that its own library has deprecated
    import oidc_provider_mock

# The provider's own code uses a module that its library has deprecated; that is the peer, not ours.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PEOPLE: dict[str, dict[str, Any]] = {
    "ana": {"email": "ana@shop.example", "groups": ["sre"]},
    "eve": {"groups": ["guests"]},
    "mal": {"email": "boss@shop.example", "email_verified": False},
    "max": {"email": "boss@shop.example", "email_verified": "false"},
    "boss": {"email": "boss@shop.example", "email_verified": "true"},
}


@pytest.fixture
def issuer() -> Iterator[str]:
    """A provider on a free port."""
    users = [oidc_provider_mock.User(sub=name, claims=claims) for name, claims in PEOPLE.items()]
    with oidc_provider_mock.run_server_in_thread(user_claims=users) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def house(open_office: OpenOffice, issuer: str) -> Office:
    """A site whose people come from there; the group `sre` may operate."""
    office = open_office(
        web_sign_in="oidc", web_oidc_issuer=issuer, web_oidc_client_id="rollout",
        web_oidc_client_secret="s3cret",
        web_roles={"sre": "operator", "boss@shop.example": "admin"},
    )  # fmt: skip
    office.declare()
    return office


def at_the_issuer(where: str, person: str) -> str:
    """Sign in there; the address that the issuer sends the browser back to."""
    answer = httpx2.post(where, data={"sub": person}, follow_redirects=False)
    assert answer.status_code == 302, answer.text[:300]
    return str(answer.headers["location"])


def path_of(url: str) -> str:
    """The part that the test client asks for."""
    assert url.startswith(OURS), url
    return url.removeprefix(OURS)


def test_a_person_signs_in(house: Office) -> None:
    """By the page, the issuer and back, to where they wanted to go; the role is their group's."""
    client = house.client
    away = client.get("/jobs")
    page = client.get(away.headers["location"])
    link = re.search(r'href="([^"]*sign-in/oidc[^"]*)"', page.text)
    assert link is not None
    there = client.get(link[1].replace("&amp;", "&"))
    query = parse_qs(urlsplit(there.headers["location"]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["nonce"]
    back = client.get(path_of(at_the_issuer(there.headers["location"], "ana")))
    assert back.status_code == 303, back.text[-900:]
    assert back.headers["location"] == "/jobs"
    page = client.get("/jobs")
    assert "ana@shop.example" in page.text
    assert "operator" in page.text
    assert client.post(f"/sub-pipelines/{NAME}/kill", data={}).status_code == 303
    refused = client.post(f"/api/v1/sub-pipelines/{NAME}/rearm", json={"reason": "x"})
    assert refused.status_code == 403


def test_who_has_no_role_stays_outside(house: Office) -> None:
    """The provider knows them, we do not."""
    there = house.client.get("/sign-in/oidc")
    back = house.client.get(path_of(at_the_issuer(there.headers["location"], "eve")))
    assert back.status_code == 403
    assert COOKIE not in back.cookies


@pytest.mark.parametrize(("person", "status"), [("mal", 403), ("max", 403), ("boss", 303)])
def test_a_mail_address_that_nobody_verified_is_nobody_s(
    house: Office, person: str, status: int
) -> None:
    """Anybody may claim the boss's; some issuers write the word as text."""
    there = house.client.get("/sign-in/oidc")
    back = house.client.get(path_of(at_the_issuer(there.headers["location"], person)))
    assert back.status_code == status


@pytest.mark.parametrize("change", ["other browser", "twice", "state", "code", "refused"])
def test_whoever_did_not_begin_does_not_come_in(house: Office, change: str) -> None:
    """Another browser, a second time, a wrong state or code, or a person who said no."""
    client = house.client
    there = client.get("/sign-in/oidc").headers["location"]
    path = path_of(at_the_issuer(there, "ana"))
    state = parse_qs(urlsplit(there).query)["state"][0]
    asks: dict[str, Any] = {
        "other browser": lambda: house.another().get(path),
        "twice": lambda: (client.get(path), house.another(), client.get(path))[2],
        "state": lambda: client.get(path.replace(state, "x" * len(state))),
        "code": lambda: client.get(f"/sign-in/oidc/back?state={state}&code=wrong"),
        "refused": lambda: client.get(f"/sign-in/oidc/back?state={state}&error=access_denied"),
    }
    answer = asks[change]()
    assert answer.status_code in (400, 403)
    assert COOKIE not in answer.cookies


def test_a_kill_needs_no_provider(open_office: OpenOffice) -> None:
    """With the issuer away a token signs in, and stops what has to be stopped."""
    office = open_office(
        web_sign_in="oidc", web_oidc_issuer="http://127.0.0.1:1", web_oidc_client_id="rollout",
        web_oidc_client_secret="s3cret",
    )  # fmt: skip
    office.declare()
    away = office.client.get("/sign-in/oidc")
    assert away.status_code == 400
    assert "rollout kill" in away.text
    client = office.another()
    client.post("/sign-in", data={"token": office.token(Role.SAFER_ONLY)})
    with suppress(KeyError):
        assert client.post(f"/sub-pipelines/{NAME}/kill", data={}).status_code == 303
    assert office.world.ledger.control(NAME).killed
