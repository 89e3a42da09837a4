"""Says whether two modes saw the same of one case."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from tests.celery_conformance.differences import (
    ATTRIBUTES,
    differences_of,
    tried_before,
    without_fallbacks,
)
from tests.celery_conformance.modes import Observed, observe

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+>")
_TIME = re.compile(r"20\d\d-\d\d-\d\dT[-0-9:.+]+")


def observe_plainly(mode: str, folder: Path, *cases: str, **how: Any) -> dict[str, Observed]:
    """What one mode saw, by case; ids, times and addresses in memory are made equal."""
    return {
        name: Observed(*map(_plain, (case.said, case.backend, case.notes, case.ledger)))
        for name, case in observe(mode, folder, cases, **how).items()
    }


def assert_whole(bare: dict[str, Observed]) -> None:
    """On bare Celery every case came to its end: nothing is equal by an accident."""
    for name, one in bare.items():
        assert "not ready" not in repr(one.said), name
        assert "the case raised" not in repr(one.said), name


def _plain(part: Any) -> Any:
    text = _ID.sub("<id>", json.dumps(part))
    return json.loads(_TIME.sub("<time>", _ADDRESS.sub(">", text)))


def assert_same(case: str, mode: str, bare: Observed, behind: Observed) -> None:
    """Callers, result backend, hooks, signals and monitors saw the same, but for what is meant."""
    meant = differences_of(case, mode)
    assert all(one.holds(behind) for one in meant.values()), behind
    if "said" not in meant:
        assert _said(case, behind.said) == _said(case, bare.said)
    if "backend" not in meant:
        assert behind.backend == bare.backend
    if "notes" not in meant:
        noted = without_fallbacks(behind.notes)
        expected, got = (Counter(map(repr, notes)) for notes in (bare.notes, noted))
        missing, added = expected - got, got - expected
        assert not missing, behind.notes
        assert not added or tried_before(mode, bare.notes, added), added


def _said(case: str, said: Any) -> Any:
    if case != "attributes":
        return said
    return {
        task: {name: value for name, value in values.items() if name not in ATTRIBUTES}
        for task, values in said.items()
    }
