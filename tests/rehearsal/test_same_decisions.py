"""Rehearsals decide as they did before they were made faster, to the last digit that is said."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from rollout.policy.policy import Policies, Policy
from rollout.rehearsal.injection import parse_injection
from rollout.rehearsal.job_stream import JobStream
from rollout.rehearsal.replay import Setting, replay
from rollout.rehearsal.stream_draw import Drawing, draw_drills, draw_stream

RECORDED = Path(__file__).with_name("decisions.json")
"""Made on 2026-11-26 by the code before windows were taken in together. Then both were compared
over more seeds, shapes and policies, with the inputs of every decision, the trial and its hours.
"back a step" was made anew when a revert to the step below had learnt to stay there."""

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
WARMUP_DAYS = 3.0
HOUR_US = 3_600_000_000

CASES: dict[str, dict[str, Any]] = {
    "equal": {"jobs_per_day": 2000.0},
    "few": {"jobs_per_day": 100.0, "days": 40.0},
    "better": {"jobs_per_day": 1000.0, "faster": 0.8},
    "failing": {"jobs_per_day": 2000.0, "inject": "at=day 5.3 errors=0.05"},
    "slower": {"jobs_per_day": 2000.0, "inject": "at=day 4.1 slow=1.5"},
    "weekend": {"jobs_per_day": 2000.0, "kept": "weekend"},
    "bursts": {"jobs_per_day": 2000.0, "kept": "bursts"},
    "long jobs": {"jobs_per_day": 2000.0, "median_s": 400.0},
    "back a step": {
        "jobs_per_day": 2000.0,
        "inject": "at=day 10 errors=0.2",
        "revert_to": "previous_step",
    },
}


def kept(stream: JobStream, shape: str, seed: int) -> JobStream:
    """Leave out most jobs of weekends, or of all hours but some."""
    hour = stream.at_us // HOUR_US
    full = (hour // 24 + 3) % 7 < 5 if shape == "weekend" else hour % 6 == 0
    stays = full | (np.random.default_rng(seed).random(stream.jobs) < 0.1)
    columns = {
        name: getattr(stream, name)[stays]
        for name in JobStream.__slots__
        if name != "name" and getattr(stream, name) is not None
    }
    return replace(stream, **columns)


def decided(
    jobs_per_day: float,
    days: float = 16.0,
    inject: str = "",
    faster: float = 1.0,
    kept_shape: str = "",
    median_s: float = 2.0,
    revert_to: Literal["legacy", "previous_step"] = "legacy",
    seed: int = 3,
) -> list[list[str]]:
    """Rehearse a pilot, and give what was decided, when and why."""
    begin = START - timedelta(days=WARMUP_DAYS)
    drawing = Drawing(jobs_per_day, 0.01, median_s, 1.0, seed)
    stream = draw_stream("pilot", drawing, begin, days + WARMUP_DAYS)
    if kept_shape:
        stream = kept(stream, kept_shape, seed)
    if faster != 1.0:
        taken = np.rint(stream.concurrent_us * faster).astype(np.int64)
        stream = stream.with_concurrent(taken, stream.concurrent_failed)
    policy = Policy(bake_days=2, ladder_bp=(2500, 5000, 9500), revert_to=revert_to)
    setting = Setting(
        stream,
        START,
        START + timedelta(days=days),
        injection=parse_injection(inject) if inject else None,
        drills=draw_drills("pilot", 12, 0.8, START, days, 86_400.0, seed),
    )
    done = replay(setting, Policies(default=policy)).done
    return [[one.at.isoformat(), one.action, one.window, one.sentence] for one in done.decisions]


def of_case(name: str) -> list[list[str]]:
    """The decisions of a case."""
    given = dict(CASES[name])
    return decided(kept_shape=given.pop("kept", ""), **given)


@pytest.mark.parametrize("name", CASES)
def test_same_decisions(name: str) -> None:
    """Times, actions and sentences with their figures."""
    assert of_case(name) == json.loads(RECORDED.read_text())[name]
