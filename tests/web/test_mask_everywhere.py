"""What a job was given and gave, looked for wherever rollout writes.

Pages, API, streams, log lines, reports, notices, figures: nobody here was noted to look.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import structlog

from rollout.adapters.notify import Outbox
from rollout.adapters.prometheus import Exporter
from rollout.control.access import Caller, Role
from rollout.drills.drill import read_drill
from rollout.drills.gameday import GameDay
from rollout.drills.gamedays import play
from rollout.jobs.delivery import Delivery
from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event
from rollout.shadow.copies import ShadowCopy
from rollout.web import live
from tests.builders import NAME, filing
from tests.web.conftest import Office, sealed
from tests.web.test_doors import ROUTES

SECRET = "hunter2"
"""The pin in the messages of the office's jobs; here their paths return it, too."""


class Lines:
    """All that was written so far."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        self._capsys, self._caplog = capsys, caplog

    @property
    def text(self) -> str:
        """What was printed and logged."""
        return "".join(self._capsys.readouterr()) + self._caplog.text


@pytest.fixture
def written(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Iterator[Lines]:
    """Gathers, when it is asked, what every logger wrote; structlog as nobody has set it up."""
    before = structlog.get_config()
    structlog.reset_defaults()
    with caplog.at_level(logging.DEBUG):
        yield Lines(capsys, caplog)
    structlog.configure(**before)


def declare(office: Office, name: str) -> SubPipeline:
    """Paths that give the secret back, and fail as they are told to."""
    made = SubPipeline(
        name, effects="commit", key="customer_id", holdback_bp=0, runtime=office.world.runtime
    )

    @made.legacy
    def old(customer_id: int, pin: str, broken: str = "") -> dict[str, Any]:
        if broken == "both":
            raise ValueError("legacy does not know this customer")
        return {"pin": pin, "total": 3}

    @made.concurrent
    def new(customer_id: int, pin: str, broken: str = "") -> dict[str, Any]:
        if broken:
            raise KeyError("discount")
        return {"pin": pin[::-1] + pin, "total": 4}

    @made.commit
    def write(value: Any, job: Job) -> Any:
        return value

    office.world.open(made)
    return made


def deliver(
    office: Office,
    made: SubPipeline,
    job_id: str,
    broken: str = "",
    path: JobPath = JobPath.CONCURRENT,
) -> None:
    """A job's way: on its path, and on legacy where that fails."""
    world = office.world
    filed = filing(job_id, path, name=made.name, at=world.clock.now(), envelope=sealed())
    world.ledger.file([filed])
    given = {"customer_id": 7, "pin": SECRET, "broken": broken}
    for way in (path, JobPath.LEGACY):
        job = Job(job_id, made.name, "7", way, 0, (), given)
        with suppress(ValueError):
            world.attempts.run(made.declared, Delivery(job, "w1", lambda: filed, False))
        world.clock.advance(0.5)


@pytest.fixture
def lived(office: Office, written: Lines) -> Office:
    """An office whose jobs were committed, fell back and failed, were shadowed and refused."""
    world = office.world
    made = declare(office, "pins")
    deliver(office, made, "f1")
    deliver(office, made, "f2", "concurrent")
    deliver(office, made, "f3", "both")
    assert [world.ledger.job("pins", one).state for one in ("f1", "f2", "f3")] == [
        "committed", "committed", "failed",
    ]  # fmt: skip
    assert SECRET in (world.ledger.job("pins", "f1").result or "")
    shadowed = declare(office, "shadowed")
    world.runtime.changes.change("shadowed", Event.REVERT, "ada", "back")
    world.runtime.changes.change("shadowed", Event.SHADOW, "ada", "look first")
    world.ledger.file([filing("s1", JobPath.LEGACY, name="shadowed", envelope=sealed())])
    copy = ShadowCopy(
        path=JobPath.CONCURRENT, result=f'{{"pin": "{SECRET}", "total": 3}}', job_id="s1",
        legacy_s=0.2, shed={},
    )  # fmt: skip
    world.runtime.shadow_runs.run(shadowed.declared, copy.to_values(), "d1")
    assert world.ledger.shadow_runs("shadowed", 1), "a mismatch is kept"
    world.ledger.keep_message("pins.legacy", "not JSON", SECRET, SECRET, world.clock.now())
    return office


def test_no_page_and_no_answer_has_it(lived: Office, written: Lines) -> None:
    """Every route that looks, with every filter, and what a mistaken request is told."""
    client, looked = lived.client, 0
    asked = ({}, {"name": "pins"}, {"kind": "failed"}, {"kind": "fallbacks", "name": "pins"})
    for method, path in ROUTES:
        if path.endswith(("/events", "/reveal", "/kill", "/rearm")):
            continue
        path = path.replace(NAME, "pins")
        if method == "GET":
            for query in asked:
                answer = client.get(path, params=query)
                looked += answer.status_code == 200
                assert SECRET not in answer.text, (path, query)
        else:
            answer = client.post(path, content=b"{", headers={"content-type": "text/json"})
            assert SECRET not in answer.text, path
    assert looked > 60
    for path in ("/jobs/f1", "/jobs/f2", "/jobs/f3", "/jobs/s1", "/sub-pipelines/shadowed",
                 "/api/v1/sub-pipelines/shadowed/mismatches", "/api/v1/messages"):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert SECRET not in answer.text, path
    assert SECRET not in written.text


def test_no_act_and_no_stream_tells_it(lived: Office, written: Lines) -> None:
    """Retry, kill and rearm give the state back; a stream says counts."""
    client, pins = lived.client, "/api/v1/sub-pipelines/pins"
    answers = [
        client.post("/api/v1/jobs/retry", json={"ids": ["f3"], "reason": "again"}),
        client.post(f"{pins}/kill", json={"reason": "x"}),
        client.get("/sub-pipelines/pins/killed"),
        client.post(f"{pins}/rearm", json={"reason": "mended"}),
    ]
    assert [one.status_code for one in answers] == [200] * 4
    told = "".join(one.text for one in answers)
    summary = live.summary(lived.app._site, Caller("ana", Role.ADMIN))
    assert SECRET not in told + repr(summary) + written.text


def test_no_report_no_notice_and_no_figure_has_it(lived: Office, written: Lines) -> None:
    """A revert is told to people, a game day is reported in Markdown and HTML, /metrics is read."""
    world, runtime = lived.world, lived.world.runtime
    urls = ("json://pager",)
    runtime.settings = runtime.settings.model_copy(update={"notify_urls": urls})
    made = declare(lived, "breaks")
    exporter = Exporter()
    for number in range(60):
        deliver(lived, made, f"b{number}", "concurrent")
        deliver(lived, made, f"l{number}", "concurrent", JobPath.LEGACY)
        if number % 10 == 9:
            exporter.tick(runtime.tick.turn(), *world.ledger.tallies())
    notices: list[str] = []

    def send(url: str, title: str, sentence: str) -> bool:
        notices.append(title + sentence)
        return True

    outbox = Outbox(world.ledger, world.clock, urls, send)
    while outbox.send_one():
        pass
    assert notices, "the controller took the scope back, and says so"
    drill = read_drill(
        {"name": "few raise", "sub_pipeline": "pins", "fault": "raise", "path": "concurrent",
         "duration_s": 2, "blast_radius_jobs": 1, "deadline_s": 60, "window_s": 2}
    )  # fmt: skip
    report = play(
        GameDay("pins", (drill,)), runtime.drills(None), world.ledger, world.clock,
        lambda: JobPath.CONCURRENT, "ana",
    )  # fmt: skip
    figures = repr([metric.samples for metric in exporter.collect()])
    assert "breaks" in figures
    assert SECRET not in "".join([*notices, *report.files.values(), figures, written.text])
