"""All checks over all facts: nothing that was not looked at passes in silence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from rollout.preflight.arguments import KeyOf, Weigh, check_arguments, check_size
from rollout.preflight.connections import check_connections
from rollout.preflight.effects import check_effects, check_hook, check_runs
from rollout.preflight.facts import JobFact, Source, TaskFacts, Trial
from rollout.preflight.findings import Preflight
from rollout.preflight.keys import check_keys
from rollout.preflight.limits import check_limits
from rollout.preflight.order import check_order
from rollout.preflight.waits import check_waits
from rollout.shadow.compare import Comparison


def preflight(
    task: TaskFacts,
    sources: Sequence[Source],
    jobs: Sequence[JobFact],
    trial: Trial,
    comparison: Comparison,
    weigh: Weigh,
    key_of: KeyOf,
) -> Preflight:
    """Say which jobs would break on the way.

    Args:
        task: How the task is set up.
        sources: Where the jobs come from.
        jobs: The jobs of the last days, as far as each source tells.
        trial: Runs of some of them, if any.
        comparison: How results are compared.
        weigh: Bytes of a message's body.
        key_of: Routing key of a job.
    """
    results = chain(
        check_arguments(task, jobs, weigh, key_of),
        check_size(task, jobs, weigh),
        check_limits(task, jobs, trial),
        check_keys(task, jobs, key_of),
        check_waits(task, trial),
        check_runs(trial),
        check_effects(task, trial),
        check_hook(task, trial),
        check_connections(task),
        check_order(trial, comparison),
    )
    return Preflight(task.name, sources, list(results))
