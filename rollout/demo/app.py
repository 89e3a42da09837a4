"""The demo's Celery app, as a platform team would write it."""

from datetime import UTC
from typing import Any

from celery import Celery

from rollout.demo.flights import load_overlapped, load_record_by_record, write
from rollout.jobs.ports import Job
from rollout.pipeline import SubPipeline
from rollout.settings import Settings, read_settings
from rollout.wiring import Runtime

NAME = "flights-load"
_CLOCK = Runtime(read_settings()).clock


def flight_key(day: str, origin: str, part: int | None = None, **rest: Any) -> str:
    """A part of an airport's day always takes the same path."""
    return f"{origin}/{day}/{part}"


def stamped(rows: list[list[Any]]) -> dict[str, Any]:
    """What a path gives: the rows, and when they were loaded, which no two runs agree on."""
    return {"loaded_at": _CLOCK.now().astimezone(UTC).isoformat(), "rows": rows}


def one_by_one(
    folder: str, day: str, origin: str, fault: str | None = None, part: int | None = None
) -> dict[str, Any]:
    """The legacy path."""
    return stamped(load_record_by_record(folder, day, origin, fault, part))


def overlapped(
    folder: str, day: str, origin: str, fault: str | None = None, part: int | None = None
) -> dict[str, Any]:
    """The concurrent path."""
    return stamped(load_overlapped(folder, day, origin, fault, part))


def load(value: dict[str, Any], job: Job) -> int:
    """The commit hook: the rows, in the ledger's own transaction."""
    return write(value["rows"], job)


def declare(settings: Settings) -> tuple[Celery, SubPipeline]:
    """Make the app and declare its sub-pipeline."""
    app = Celery("flights", broker=settings.broker())
    flights = SubPipeline(
        NAME,
        app=app,
        effects="commit",
        key=flight_key,
        # A fifth, not a twentieth: in weeks of a few hundred jobs legacy must show enough, too.
        holdback_bp=2000,
        time_limit=120,
        runtime=Runtime(settings),
    )
    flights.legacy(one_by_one)
    flights.concurrent(overlapped)
    flights.commit(load)
    return app, flights


app, _ = declare(read_settings())
