"""The demo's Celery app, as a platform team would write it."""

from typing import Any

from celery import Celery

from rollout.demo.flights import load_overlapped, load_record_by_record, write
from rollout.pipeline import SubPipeline
from rollout.settings import Settings, read_settings
from rollout.wiring import Runtime

NAME = "flights-load"


def flight_key(day: str, origin: str, **rest: Any) -> str:
    """One airport's day always takes the same path."""
    return f"{origin}/{day}"


def declare(settings: Settings) -> tuple[Celery, SubPipeline]:
    """Make the app and declare its sub-pipeline."""
    made = Celery("flights", broker=settings.broker())
    flights = SubPipeline(
        NAME, app=made, effects="commit", key=flight_key, runtime=Runtime(settings)
    )
    flights.legacy(load_record_by_record)
    flights.concurrent(load_overlapped)
    flights.commit(write)
    return made, flights


app, _ = declare(read_settings())
