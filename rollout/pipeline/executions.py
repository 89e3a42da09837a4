"""A graph or a chain of `rollout.execution` as a sub-pipeline's paths.

Apart from what is declared, so that who declares plain functions never loads the engine.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rollout.errors import DeclarationError
from rollout.execution.errors import Stopped
from rollout.execution.path import as_path
from rollout.execution.running import asking
from rollout.jobs.delivery import Withdrawn
from rollout.jobs.ports import Job
from rollout.routing.decision import JobPath

if TYPE_CHECKING:
    from rollout.pipeline.declared import Declared


def declare_execution(
    declared: "Declared", build: Callable[..., Any], options: Mapping[str, Any]
) -> None:
    """Declare the engine as the concurrent path, and the same steps in sequence as legacy.

    Legacy stays what it is where it was declared before.

    Args:
        declared: The sub-pipeline.
        build: Takes a job's arguments and gives a `Graph` or a `Flow`.
        options: Of `as_path`, such as `workers` and `result`.

    Raises:
        DeclarationError: The options are none, or a path cannot be declared.
    """
    if not isinstance(options, Mapping):
        raise DeclarationError(
            f"execution= of {declared.name!r} must hold options of the engine, got {options!r:.80}",
            'write execution={"workers": 4}, or execution={} for the defaults',
        )
    declared.plain(build)
    path = as_path(build, **options)
    if JobPath.LEGACY not in declared.paths:
        declared.declare(JobPath.LEGACY, path.legacy)
    declared.declare(JobPath.CONCURRENT, path.concurrent)
    declared.around_concurrent = stopped_by_a_kill


@contextmanager
def stopped_by_a_kill(job: Job) -> Iterator[None]:
    """Let nothing new start in a run once the job's sub-pipeline was seen killed.

    Raises:
        Withdrawn: The run ended for that.
    """
    try:
        with asking(job.goes_on):
            yield
    except Stopped as error:
        if job.goes_on():
            raise
        raise Withdrawn(str(error)) from error
