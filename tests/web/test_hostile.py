"""Names, reasons and errors full of markup, escapes and length; paths and bodies full of tricks."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from rollout.desk.mask import MASKED
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects
from rollout.routing.stages import Event
from rollout.shadow.ports import ShadowBegun, ShadowEnd
from rollout.shadow.runs import fold
from tests.builders import NAME
from tests.web.conftest import Office

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>'\"&{{7*7}}{% raw %}"
ESCAPES = "\x1b[31mred\x1b[0m\x07\x00\x85\u202e\u2028"
LONG = "x" * 100_000
HOSTILE = [MARKUP, ESCAPES, LONG, "ünïcødé 漢字 🚨", "\ud800", "../../etc/passwd", "%2e%2e%2f"]
PAGES = ("/", "/sub-pipelines/invoices", "/jobs?kind=failed", "/log", "/kill",
         "/sub-pipelines/invoices/killed", "/sub-pipelines/invoices/rearm")  # fmt: skip


def shown(text: str) -> None:
    """Nothing that came from outside is markup, and no control character is left."""
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "49{%" not in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\x85\u202e\u2028]", text)


@pytest.mark.parametrize("words", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_words_are_only_words(office: Office, words: str) -> None:
    """As a reason, as an error, as an actor: every page shows them, none obeys them."""
    world = office.world
    office.failed("f1", f"ValueError: {words}")
    world.runtime.changes.change(NAME, Event.FREEZE, words, words)
    world.runtime.changes.kill(NAME, words, words)
    for path in (*PAGES, "/jobs/f1"):
        answer = office.client.get(path)
        assert answer.status_code == 200, path
        shown(answer.text)
        assert len(answer.text) < 400_000, path
    for path in ("/api/v1/sub-pipelines", "/api/v1/sub-pipelines/invoices/history"):
        assert office.client.get(path).json()


@pytest.mark.parametrize("name", ["<b>&'\"", "a/b", "..", "é 漢", "a?b#c", "a\x1bb"])
def test_hostile_names(office: Office, name: str) -> None:
    """A name in the ledger that no declaration would allow: its page and its kill work."""
    world = office.world
    world.ledger.ensure(name, Effects.NONE, 500, world.clock.now())
    overview = office.client.get("/").text
    shown(overview)
    from urllib.parse import quote

    here = f"/sub-pipelines/{quote(name, safe='')}"
    if "/" not in name and name != "..":  # the address of these two is not theirs for a client
        assert f'href="{here}"' in overview
        assert office.client.get(here).status_code == 200
        answer = office.client.post(f"{here}/kill", data={})
        assert answer.status_code == 303
        assert world.ledger.control(name).killed
        assert office.client.get(answer.headers["location"]).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd", "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py",
        "/sub-pipelines/", "/sub-pipelines/%00", "/sub-pipelines/" + "x" * 5000,
        "/jobs/%ff", "/decisions/abc", "/decisions/99999999999999999999", "/drills/%25",
        "/sub-pipelines/*", "/sub-pipelines/*/kill", "/api/v1/jobs/%00", "/%0d%0aSet-Cookie:x",
    ],
)  # fmt: skip
def test_path_tricks(office: Office, path: str) -> None:
    """Nothing is served that is not a page, and nothing is a defect."""
    answer = office.client.get(path)
    assert answer.status_code in (400, 404), (path, answer.text[:200])
    assert "root:" not in answer.text
    assert "def create_app" not in answer.text
    assert "set-cookie" not in answer.headers


def test_a_star_is_no_name_to_act_on(office: Office) -> None:
    """The row that holds the kill of all is no sub-pipeline."""
    for word in ("kill", "freeze", "rearm"):
        answer = office.client.post(f"/api/v1/sub-pipelines/*/{word}", json={"reason": "x"})
        assert answer.status_code == 404, word
    assert not office.world.ledger.all_latch().killed


def test_large_and_deep_bodies(office: Office) -> None:
    """Refused by their size before they are read, or as no request of ours."""
    path = f"/api/v1/sub-pipelines/{NAME}/freeze"
    kind = {"content-type": "application/json"}
    large = office.client.post(path, content=b" " * 300_000, headers=kind)
    assert large.status_code == 413
    deep = b'{"reason":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert office.client.post(path, content=deep, headers=kind).status_code == 400
    form = office.client.post(f"/sub-pipelines/{NAME}/kill", content=b"reason=" + b"x" * 20_000)
    assert form.status_code == 400
    many = office.client.post(f"/sub-pipelines/{NAME}/kill", content=b"a=1&" * 500)
    assert many.status_code == 400
    assert not office.world.ledger.control(NAME).frozen
    assert not office.world.ledger.control(NAME).killed


@pytest.mark.parametrize("words", [MARKUP, ESCAPES, LONG], ids=("markup", "escapes", "long"))
def test_hostile_differences_of_shadows(office: Office, words: str) -> None:
    """Fields and values that results brought: words on the page, also once they are revealed."""
    world = office.world
    world.runtime.changes.change(NAME, Event.REVERT, "bo", "back")
    world.runtime.changes.change(NAME, Event.SHADOW, "bo", "look first")
    world.runtime.shadow_queue = cast(Any, FakeShadowQueue())
    at = world.clock.now()
    begun = ShadowBegun("run-1", NAME, "f1", JobPath.CONCURRENT, 0.5, at)
    world.ledger.begin_shadow(begun, {})
    field = words[:200]
    end = ShadowEnd(
        "run-1", NAME, at, 0.6, fields=frozenset({field}), signature=field, diff=words[:2000]
    )
    world.ledger.end_shadow(end, fold)
    page = office.client.get(f"/sub-pipelines/{NAME}")
    assert page.status_code == 200
    shown(page.text)
    here = f"/api/v1/sub-pipelines/{NAME}/mismatches"
    (group,) = office.client.get(here).json()["groups"]
    assert group["example"] == MASKED
    (group,) = office.client.post(f"{here}/reveal", json={}).json()["groups"]
    assert group["example"]


class FakeShadowQueue:
    """A broker in which no copy waits."""

    def backlog(self, name: str) -> int:
        """None."""
        return 0

    def close(self) -> None:
        """There is nothing to close."""
