"""Submissions whose callers wait: a link, a chain, a chord, each with a task that must be called.

What is called writes its tag to the history (`app.heard`); the checker holds the tags that were
awaited against it (`answer_rules.py`).
"""

import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from celery import chain, chord

from tests.crash.app import asks, heard, history

_HEADER = 3
"""Jobs of a chord."""


def submit_awaited(rng: random.Random, draw: Callable[[], dict[str, Any]]) -> list[str]:
    """Submit one link, chain or chord; gives the ids of its jobs. Raises what Celery raises."""
    tag, kind = uuid4().hex, rng.choice(("link", "chain", "chord"))
    last = heard.si(tag)
    ids = [str(uuid4()) for _ in range({"link": 1, "chain": 2, "chord": _HEADER}[kind])]
    # All of them succeed, on legacy at the latest: else Celery ends a chain or chord by itself.
    jobs = [asks.task.si(**draw(), what=rng.choice(("ok", "fails"))) for _ in ids]
    signed = [job.set(task_id=job_id) for job, job_id in zip(jobs, ids, strict=True)]
    # Before it is true: a producer that dies in between has submitted none of them, or some.
    history.write("awaiting", tag=tag, kind=kind, jobs=ids)
    match kind:
        case "link":
            signed[0].apply_async(link=last)
        case "chain":
            chain(*signed, last).apply_async()
        case "chord":
            chord(signed, last).apply_async()
    return _submitted(kind, tag, ids)


def _submitted(kind: str, tag: str, ids: list[str]) -> list[str]:
    """Say what is submitted by now; a later step of a chain is, when the one before it is over."""
    now = ids[:1] if kind == "chain" else ids
    history.write("submitted", name="asks", jobs=now, awaited=tag, chained=ids[1:])
    return now
