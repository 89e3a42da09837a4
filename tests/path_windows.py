"""Windows of a path for the tests: minutes that follow each other."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from rollout.drills.incident import Incident
from rollout.drills.watch import Rules, Watch, observe
from rollout.evidence.sample import PathSample
from tests.builders import NOW

MINUTE = timedelta(minutes=1)
HASTY = Rules(settle=timedelta(0), memory=timedelta(hours=4), cap=timedelta(hours=2))
"""No settling, so that a test needs 20 windows and not a day of them."""

USUAL = PathSample(NOW, jobs=20, failed=0, p95_s=2.0, oldest_s=1.0)
SLOW = replace(USUAL, p95_s=20.0)
FAILING = replace(USUAL, failed=20)
STUCK = replace(USUAL, jobs=0, p95_s=None, oldest_s=600.0)
EMPTY = PathSample.idle(NOW)
WAITING = replace(USUAL, jobs=0, p95_s=None, oldest_s=1.0)


def fed(
    watch: Watch, samples: Iterable[PathSample], rules: Rules = HASTY, *, stored: bool = False
) -> tuple[Watch, list[Incident]]:
    """Feed windows of a minute each; with `stored` the state goes through JSON every time."""
    said = []
    for sample in samples:
        at = (watch.at or NOW) + MINUTE
        watch, incident = observe(watch, replace(sample, at=at), rules)
        if stored:
            watch = Watch.from_json(json.loads(json.dumps(watch.to_json())))
        if incident is not None:
            said.append(incident)
    return watch, said


def settled(windows: int = 30) -> Watch:
    """A watch that knows its band."""
    watch, said = fed(Watch(), [USUAL] * windows)
    assert watch.band is not None
    assert said == []
    return watch
