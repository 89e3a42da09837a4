"""Says at a worker's start that a path has no time limit: what hangs keeps its process."""

from collections.abc import Mapping
from typing import Any, Protocol

from rollout.log import log


class Named(Protocol):
    """A sub-pipeline, as far as its limits are told."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


def warn_unlimited(app: Any, pipelines: Mapping[str, Named]) -> list[str]:
    """Warn of each sub-pipeline whose jobs may run for ever, by task name; give their names.

    The limits are those of the task, else of the app: both are known when a worker starts. A kill
    takes a hanging job from its process and gives it to legacy; the process hangs on, and the
    concurrent path has one less.
    """
    unlimited = []
    for task_name, pipeline in pipelines.items():
        task = app.tasks[task_name]
        limits = (
            task.time_limit,
            task.soft_time_limit,
            app.conf.task_time_limit,
            app.conf.task_soft_time_limit,
        )
        if all(limit is None for limit in limits):
            unlimited.append(pipeline.name)
            log.warning(
                "no time limit: a job that hangs keeps its process, also after a kill",
                name=pipeline.name,
                todo="give SubPipeline(..., time_limit=SECONDS), or the app task_time_limit",
            )
    return unlimited
