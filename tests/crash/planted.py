"""A good history, and the ways to plant something into it."""

from dataclasses import replace
from typing import Any

from tests.crash.checker import KINDS, check
from tests.crash.evidence import Change, Evidence, Row
from tests.crash.history import Event

WALL = 1_760_000_000_000_000_000
S = 1_000_000_000


def at(seconds: float, who: str, what: str, **facts: Any) -> Event:
    """One event this many seconds into the run."""
    t = int(seconds * S)
    return {"t": t, "w": t + WALL, "who": who, "what": what, **facts}


def iso(seconds: float) -> str:
    """The same moment as a way line has it."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp((WALL + int(seconds * S)) / 1e9, UTC).isoformat(
        timespec="milliseconds"
    )


def claimed(seconds: float, job: str, attempt: int, fence: int, **facts: Any) -> Event:
    """A concurrent claim that took a millisecond and asked the store just before."""
    t0 = int((seconds - 0.001) * S)
    return at(
        seconds, "forked", "claimed", job=job, name="parts", attempt=attempt, fence=fence,
        **{"path": "concurrent", "t0": t0, "asked": t0 - S // 1000, **facts},
    )  # fmt: skip


def row(job: str, seconds: float, path: str = "concurrent", **facts: Any) -> Row:
    """A job that was claimed and committed once."""
    way = (
        {"at": iso(seconds - 0.1), "what": "accepted"},
        {"at": iso(seconds - 0.01), "what": "started", "path": path, "attempt": 1},
        {"at": iso(seconds), "what": "committed", "path": path, "attempt": 1},
    )
    finished = WALL + int(seconds * S)
    base = Row(job, "parts", "committed", path, 1, 0, finished, way)
    return replace(base, **facts)


def change(event: str, revision: int, before: int, after: int) -> Change:
    """A logged transition of `parts`."""
    was, now = _state(revision - 1, before), _state(revision, after)
    return Change("parts", event, was, now)


def _state(revision: int, scope_bp: int) -> dict[str, Any]:
    """The fields of a control state that rules look at."""
    kill_id = "k" if revision == 4 else None
    return {"scope_bp": scope_bp, "revision": revision, "kill_id": kill_id}


def good() -> Evidence:
    """One job on each path, a kill, a rearm, an outage of the control store, and rest."""
    events = [
        at(1, "producer1", "submitted", name="parts", jobs=["a", "b"]),
        claimed(2, "a", 1, 0),
        at(2.1, "forked", "committed", job="a", attempt=1, path="concurrent"),
        at(2.2, "forked", "told", job="a"),
        at(5, "operator1", "kill asked", name="parts"),
        at(5.1, "operator1", "fenced", kill_id="k", fences={"parts": 4}),
        at(
            5.2, "operator1", "kill acknowledged", name="parts", names=["parts"], kill_id="k",
            complete=True,
        ),
        at(6, "legacy", "committed", job="b", attempt=1, path="legacy"),
        at(7, "operator2", "rearm asked", name="parts"),
        at(7.1, "operator2", "rearm ended", name="parts", refused=False),
        at(8, "driver", "store gone", worker=None),
        at(9, "driver", "store back", worker=None),
        at(9.1, "driver", "scope seen", name="parts", place="ledger", revision=3, scope_bp=8000),
        at(10, "driver", "all up"),
        at(11, "driver", "ended", open=0),
    ]  # fmt: skip
    return Evidence(
        events=events,
        rows={"a": row("a", 2.1), "b": row("b", 6, "legacy")},
        effects={"a": 1, "b": 1},
        changes=[
            change("start", 2, 0, 100),
            change("scope", 3, 100, 8000),
            change("kill", 4, 8000, 8000),
            change("rearm", 5, 8000, 8000),
        ],
        scopes={"parts": 8000},
    )


def kinds(evidence: Evidence) -> list[str]:
    """What the checker finds, each kind once, in the order of KINDS."""
    found = {one.kind for one in check(evidence)}
    return [kind for kind in KINDS if kind in found]


def with_events(*events: Event) -> Evidence:
    """The good history and these events, in order of time."""
    whole = sorted([*good().events, *events], key=lambda event: int(event["t"]))
    return replace(good(), events=whole)


def with_row(changed: Row, effects: int = 1) -> Evidence:
    """The good history with one row changed or added."""
    base = good()
    return replace(
        base,
        rows={**base.rows, changed.job_id: changed},
        effects={**base.effects, changed.job_id: effects},
    )
