"""An alert that pulls the switch: Alertmanager's own body, with a token that can do no more."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout.control.access import Role
from tests.builders import NAME
from tests.web.conftest import OURS, Office, OpenOffice

PAGE = Path(__file__).parents[2] / "docs" / "web.md"


def alert(status: str) -> dict[str, Any]:
    """What a webhook is sent. Source: Prometheus documentation, webhook_config, version 4."""
    one = {
        "status": status, "labels": {"alertname": "WrongTotals", "sub_pipeline": NAME},
        "annotations": {"summary": "3 of 40 totals differ"}, "startsAt": "2026-11-02T09:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus", "fingerprint": "7",
    }  # fmt: skip
    return {
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": status,
        "receiver": "rollout", "groupLabels": {"alertname": "WrongTotals"},
        "commonLabels": one["labels"], "commonAnnotations": one["annotations"],
        "externalURL": "http://alertmanager", "alerts": [one],
    }  # fmt: skip


def documented() -> dict[str, Any]:
    """The receiver that docs/web.md shows."""
    (text,) = re.findall(r"```yaml\n(receivers:.*?)```", PAGE.read_text(), re.DOTALL)
    (receiver,) = yaml.safe_load(text)["receivers"]
    (webhook,) = receiver["webhook_configs"]
    return dict(webhook)


@pytest.fixture
def guarded(open_office: OpenOffice) -> Office:
    """A site where a token is needed."""
    office = open_office(web_sign_in="token")
    office.declare()
    return office


def test_the_documented_receiver_kills(guarded: Office) -> None:
    """As docs/web.md has it: fires, repeats harmlessly, leaves a rearm alone when it is over."""
    webhook = documented()
    assert webhook["http_config"]["authorization"]["credentials_file"]
    path = webhook["url"].replace(OURS, "").replace("invoices", NAME)
    client = guarded.bearer(Role.SAFER_ONLY, NAME)
    killed = client.post(path, json=alert("firing"))
    assert killed.status_code == 200
    assert killed.json()["holds"] is True
    (record,) = guarded.world.runtime.door.kills(NAME)
    assert (record.actor, record.reason) == (
        "safer-only robot", "alert WrongTotals: 3 of 40 totals differ",
    )  # fmt: skip
    assert client.post(path, json=alert("firing")).json()["holds"] is True
    guarded.world.runtime.changes.rearm(NAME, "ana", "mended")
    over = client.post(path, json=alert("resolved"))
    assert (over.status_code, over.json()["did"]) == (200, "nothing")
    assert not guarded.world.ledger.control(NAME).killed


def test_an_alert_of_broken_text_kills(guarded: Office) -> None:
    """A lone surrogate in its name is no reason to run on."""
    client, broken = guarded.bearer(Role.SAFER_ONLY, NAME), alert("firing")
    broken["commonLabels"] = {"alertname": "Wrong\ud800"}
    path = f"/api/v1/sub-pipelines/{NAME}/on-alert/kill"
    headers = {"content-type": "application/json"}
    assert client.post(path, content=json.dumps(broken), headers=headers).status_code == 200
    assert guarded.world.ledger.control(NAME).killed


@pytest.mark.parametrize(
    "body", [{}, {"status": 7, "commonLabels": [1]}, {"commonAnnotations": None}]
)
def test_a_strange_alert_is_one_all_the_same(guarded: Office, body: dict[str, Any]) -> None:
    """A kill is not refused for how the alert is written."""
    client = guarded.bearer(Role.SAFER_ONLY)
    assert client.post(f"/api/v1/sub-pipelines/{NAME}/on-alert/kill", json=body).status_code == 200
    assert guarded.world.ledger.control(NAME).killed


@pytest.mark.parametrize("word", ["freeze", "revert"])
def test_an_alert_may_hold_or_revert(guarded: Office, word: str) -> None:
    """The gentler actions, by the same token; nothing else has such a door."""
    client = guarded.bearer(Role.SAFER_ONLY)
    path = f"/api/v1/sub-pipelines/{NAME}/on-alert/{word}"
    assert client.post(path, json=alert("firing")).status_code == 200
    assert client.post(path.replace(word, "rearm"), json=alert("firing")).status_code == 404


def test_a_viewers_token_does_nothing(guarded: Office) -> None:
    """It is refused before the alert is read, and noted."""
    path = f"/api/v1/sub-pipelines/{NAME}/on-alert/kill"
    for status in ("firing", "resolved"):
        assert guarded.bearer(Role.VIEWER).post(path, json=alert(status)).status_code == 403
    assert not guarded.world.ledger.control(NAME).killed
    assert [str(one.came) for one in guarded.world.ledger.acts(NAME, 5)] == ["refused"] * 2
