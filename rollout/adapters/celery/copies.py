"""Offers a job of this worker for a shadow, when Celery is through with it."""

import time
from typing import Any

from rollout.adapters.celery.deliveries import routing_key_of
from rollout.adapters.celery.marks import job_id_of, path_of
from rollout.jobs.delivery import Done, Outcome, PathRun
from rollout.routing.decision import JobPath
from rollout.shadow.publish import Ran

COPY_S_MAX = 2.0
"""No copy is sent when the job's time limit is nearer than this."""


def run_to_copy(task: Any, request: Any, outcome: Outcome) -> PathRun | None:
    """The run that a copy may be made of: committed on legacy, as routing chose."""
    on_legacy = path_of(task.rollout.name, routing_key_of(request)) is JobPath.LEGACY
    if not on_legacy or not isinstance(outcome, Done) or not task.rollout.effects.shadowable:
        return None
    return outcome.ran


def offer_copy(task: Any, task_id: str) -> None:
    """Offer the job for a shadow: its result is stored by now, and its links are sent."""
    ran, began = getattr(task.request, "rollout_ran", (None, 0.0))
    if ran is None:
        return
    task.rollout.shadow_publisher.offer(
        task.rollout,
        Ran(job_id_of(vars(task.request), task_id), ran.value, ran.seconds),
        lambda: _is_near_limit(task, began),
    )


def _is_near_limit(task: Any, began: float) -> bool:
    """Whether the job's own time limit could strike while a copy is sent."""
    limits = task.request.timelimit or (None, None)
    given = [*limits, task.time_limit, task.soft_time_limit]
    spent_s = time.monotonic() - began
    return any(limit is not None and spent_s + COPY_S_MAX > limit for limit in given)
