"""How the paths of a sub-pipeline are called: with a request of their own, or a delivery's."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rollout.adapters.celery.body import run_body, run_directly
from rollout.adapters.celery.results import written
from rollout.jobs.ports import Job
from rollout.routing.decision import JobPath

if TYPE_CHECKING:
    from rollout.adapters.celery.task import SubPipelineTask


class DirectRun:
    """The sub-pipeline in a direct call: the path gets a request of its own."""

    hurt = False

    def __init__(self, task: "SubPipelineTask") -> None:
        self._task = task
        self.name = task.rollout.name
        self.effects = task.rollout.effects
        self.holdback_bp = task.rollout.holdback_bp
        self.read = task.rollout.read

    def call(self, path: JobPath, job: Job) -> Any:
        """Run the path."""
        return run_directly(self._task, path, job)

    def write(self, value: Any, job: Job) -> str:
        """Call the hook and write what there is to keep of the result."""
        return written(self._task, None, value, job)


class DeliveredRun(DirectRun):
    """The sub-pipeline in a delivery: the path gets the request that Celery has made."""

    def __init__(self, task: "SubPipelineTask", request: Any) -> None:
        super().__init__(task)
        self._request = request
        self.has_begun = False
        """Whether the path was called, which may change what the request holds."""

    def call(self, path: JobPath, job: Job) -> Any:
        """Run the path."""
        self.has_begun = True
        return run_body(self._task, replace(job, path=path))

    def write(self, value: Any, job: Job) -> str:
        """Call the hook and write what there is to keep of the result."""
        return written(self._task, self._request, value, job)
