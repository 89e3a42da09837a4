"""OFREP by the real client, and the provider in process: the same answer as a submission gets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import uvicorn
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import (
    FlagNotFoundError,
    TargetingKeyMissingError,
    TypeMismatchError,
)

from rollout.control.access import Role
from rollout.openfeature import RolloutProvider
from rollout.routing.decision import JobPath
from rollout.routing.rule import RouteTable
from rollout.routing.stages import Event
from rollout.web.rates import LIMITS
from rollout.web.serve import address_of, listen
from tests.builders import NAME
from tests.waiting import wait_until
from tests.web.conftest import Office, OpenOffice

ALL = "/ofrep/v1/evaluate/flags"
KEYS = [f"customer-{number}" for number in range(40)]


@pytest.fixture
def half(office: Office) -> Office:
    """Half of the keys are in scope."""
    office.world.runtime.changes.change(NAME, Event.SCOPE, "ada", "half", scope_bp=5000)
    return office


def routed(office: Office) -> dict[str, JobPath]:
    """Where a submission of each key goes."""
    table = RouteTable(office.world.control.read(NAME))
    return {key: table.decide(key).path for key in KEYS}


def ask(office: Office, key: str, **headers: str) -> dict[str, object]:
    """All flags of a key, by their names."""
    answer = office.client.post(ALL, json={"context": {"targetingKey": key}}, headers=headers)
    return {one["key"]: one["value"] for one in answer.json()["flags"]}


def test_flags_are_the_routing_rule(half: Office) -> None:
    """Each key's boolean and string flag say where its job would go."""
    expected = routed(half)
    assert set(expected.values()) == set(JobPath)
    for key, path in expected.items():
        flags = ask(half, key)
        assert flags[NAME] is (path is JobPath.CONCURRENT)
        assert flags[f"{NAME}.path"] == str(path)


def test_one_flag(half: Office) -> None:
    """With the revision it was decided on."""
    answer = half.client.post(f"{ALL}/{NAME}", json={"context": {"targetingKey": "customer-1"}})
    values = answer.json()
    assert values["metadata"]["revision"] == half.world.ledger.control(NAME).revision
    assert values["reason"] == "SPLIT"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (f"{ALL}/nothing", {"context": {"targetingKey": "1"}}, 404, "FLAG_NOT_FOUND"),
        (f"{ALL}/{NAME}", {"context": {}}, 400, "TARGETING_KEY_MISSING"),
        (f"{ALL}/{NAME}", {}, 400, "TARGETING_KEY_MISSING"),
        (ALL, {"context": {"targetingKey": [1]}}, 400, "TARGETING_KEY_MISSING"),
        (ALL, {"context": {"targetingKey": "x" * 2000}}, 400, "INVALID_CONTEXT"),
    ],
)
def test_errors_are_those_of_the_protocol(
    office: Office, path: str, body: dict[str, object], status: int, code: str
) -> None:
    """A provider knows what to do with each."""
    answer = office.client.post(path, json=body)
    assert answer.status_code == status
    assert answer.json()["errorCode"] == code


def test_an_etag_is_of_answer_and_context(half: Office) -> None:
    """304 for the same question; another context is another answer, whatever it is equal to."""
    body = {"context": {"targetingKey": "customer-1", "region": "eu"}}
    first = half.client.post(ALL, json=body)
    etag = first.headers["etag"]
    for given in (etag, f'"other", W/{etag}', f"{etag}, *"):
        same = half.client.post(ALL, json=body, headers={"If-None-Match": given})
        assert (same.status_code, same.content) == (304, b"")
        assert same.headers["etag"] == etag
    body["context"]["region"] = "us"
    other = half.client.post(ALL, json=body, headers={"If-None-Match": etag})
    assert other.status_code == 200
    half.client.post(f"/api/v1/sub-pipelines/{NAME}/kill", json={})
    body["context"]["region"] = "eu"
    killed = half.client.post(ALL, json=body, headers={"If-None-Match": etag})
    assert killed.status_code == 200
    assert {one["value"] for one in killed.json()["flags"]} == {False, "legacy"}
    assert {one["reason"] for one in killed.json()["flags"]} == {"DISABLED"}


@pytest.fixture
def served(open_office: OpenOffice) -> Iterator[tuple[Office, str]]:
    """A site where everybody signs in, on a real port."""
    office = open_office(web_sign_in="token")
    office.declare()
    office.world.runtime.changes.change(NAME, Event.SCOPE, "ada", "half", scope_bp=5000)
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(office.app, log_level="warning"))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    wait_until(lambda: server.started, "the site listens", 60)
    yield office, address_of("127.0.0.1", listener, "").rstrip("/")
    server.should_exit = True
    thread.join(20)


def test_the_real_client_gets_the_same(served: tuple[Office, str]) -> None:
    """OpenFeature's own OFREP provider, with a token: both types of flags, and one that is none."""
    office, address = served
    headers = {"Authorization": f"Bearer {office.token(Role.VIEWER)}"}
    provider = OFREPProvider(address, headers_factory=lambda: headers, timeout=30.0)
    for key, path in list(routed(office).items())[:8]:
        context = EvaluationContext(key)
        boolean = provider.resolve_boolean_details(NAME, False, context)
        assert boolean.value is (path is JobPath.CONCURRENT)
        assert provider.resolve_string_details(f"{NAME}.path", "", context).value == str(path)
    with pytest.raises(FlagNotFoundError):
        provider.resolve_boolean_details("nothing", False, EvaluationContext("1"))


def test_the_provider_in_process_gets_the_same(half: Office) -> None:
    """No request; the same rule, the same revision, and a kill within a snapshot's age."""
    provider = RolloutProvider(half.world.runtime)
    for key, path in routed(half).items():
        details = provider.resolve_boolean_details(NAME, False, EvaluationContext(key))
        assert details.value is (path is JobPath.CONCURRENT)
        assert provider.resolve_string_details(
            f"{NAME}.path", "", EvaluationContext(key)
        ).value == str(path)  # fmt: skip
    half.world.runtime.changes.kill(NAME, "ada", "x")
    half.world.clock.advance(2)
    details = provider.resolve_boolean_details(NAME, True, EvaluationContext(KEYS[0]))
    assert details.value is False
    assert str(details.reason) == "DISABLED"


def test_the_provider_in_process_says_what_is_wrong(half: Office) -> None:
    """Unknown names, a missing key, and types that no flag has."""
    provider = RolloutProvider(half.world.runtime)
    context = EvaluationContext("1")
    with pytest.raises(FlagNotFoundError):
        provider.resolve_boolean_details("nothing", False, context)
    with pytest.raises(TargetingKeyMissingError):
        provider.resolve_boolean_details(NAME, False, replace(context, targeting_key=None))
    with pytest.raises(TypeMismatchError):
        provider.resolve_integer_details(NAME, 1, context)
    with pytest.raises(TypeMismatchError):
        provider.resolve_boolean_details(f"{NAME}.path", False, context)


def test_asking_for_a_flag_changes_nothing(open_office: OpenOffice) -> None:
    """It is asked by POST, and counted and signed in as a look: a producer asks all the time."""
    office = open_office(web_sign_in="token")
    office.declare()
    client = office.bearer(Role.VIEWER)
    body = {"context": {"targetingKey": "customer-7"}}
    assert client.post(f"{ALL}/{NAME}", json=body).status_code == 200
    office.world.line.trace.clear()
    codes = {
        client.post(f"{ALL}/{NAME}", json=body).status_code
        for _ in range(LIMITS["write"].amount + 5)
    }
    assert codes == {200}
    assert "token_of" not in office.world.line.trace, "one look-up lasts seconds"


def test_a_kill_elsewhere_is_told_to_whoever_asks_seldom(half: Office) -> None:
    """The reading of a moment ago is of a moment ago: after a pause the store is asked."""
    key = next(key for key in KEYS if ask(half, key)[NAME])
    half.world.runtime.changes.kill(NAME, "ada", "by command")
    half.world.clock.advance(8)
    assert not ask(half, key)[NAME]
