"""The same steps one after the other, in the caller's thread: the legacy path of an execution.

On purpose without the engine, so that a fault of the engine cannot be in both paths.
"""

import time
from collections.abc import Callable
from typing import Any

from rollout.execution.chain import Chain
from rollout.execution.declaration import Barrier, Failure, Step
from rollout.execution.errors import BarrierClosed, CorruptRecord
from rollout.execution.graph import Graph
from rollout.execution.policies import Fate, StepState, fate
from rollout.execution.running import Running, set_current
from rollout.execution.sizing import Auto
from rollout.execution.sources import Puller, Source
from rollout.execution.stage_work import work_batch


def run_graph_in_sequence(graph: Graph) -> dict[str, Any]:
    """Run a graph step by step; give results by name, as declared.

    Limits in time and resources do not apply: nothing else runs, and the job's own limit holds.

    Raises:
        Exception: What the first failed step raised, after all that may still run has; a soft time
            limit of the job, at once.
    """
    states: dict[int, StepState] = {}
    results: dict[int, Any] = {}
    first_error: Exception | None = None
    for place in graph.order:
        node = graph.nodes[place]
        parents = graph.parents[place]
        if fate(graph.policies[place], [states[one] for one in parents]) is not Fate.RUNS:
            states[place] = StepState.BLOCKED
            results[place] = Failure(node.name, StepState.BLOCKED.word, None, 0, (node.name,))
            continue
        try:
            results[place] = _attempts(node, lambda: _run(graph, place, results))  # noqa: B023
            states[place] = StepState.SUCCEEDED
        except Exception as error:
            if _means_the_whole(error):
                raise
            first_error = first_error or error
            states[place] = StepState.FAILED
            attempts = node.retries + 1
            results[place] = Failure(
                node.name, StepState.FAILED.word, error, attempts, (node.name,)
            )
    if first_error is not None:
        raise first_error
    return {name: results[place] for place, name in enumerate(graph.names)}


def _attempts(node: Step | Barrier, attempt: Callable[[], Any]) -> Any:
    for _ in range(node.retries):
        try:
            return attempt()
        except Exception as error:
            if _means_the_whole(error):
                raise
            time.sleep(node.retry_wait_s)
    return attempt()


def _means_the_whole(error: Exception) -> bool:
    """Whether it was thrown into the step from outside: a job's soft time limit is no step's."""
    return type(error).__name__ == "SoftTimeLimitExceeded"  # Celery's; this room does not know it


def _run(graph: Graph, place: int, results: dict[int, Any]) -> Any:
    node = graph.nodes[place]
    set_current(Running(node.name))
    if isinstance(node, Barrier):
        before = {graph.nodes[parent].name: results[parent] for parent in graph.parents[place]}
        came = True if node.check is None else node.check(before)
        if came is not True:
            raise BarrierClosed(node.name, came)
        return before
    args = [
        results[source] if isinstance(source, int) else [results[one] for one in source]
        for source in graph.needs[place]
    ]
    return node.work(*args, *node.args, **node.kwargs)


def run_chain_in_sequence(chain: Chain, source: Source) -> list[Any]:
    """Take one batch after the other through all stages; give what came out, in order.

    Raises:
        CorruptRecord: A stage rejected a record; a job's path has no dead letter.
        Exception: What a stage raised.
    """
    size = chain.size.most if isinstance(chain.size, Auto) else chain.size
    puller = Puller(source, 0)
    output: list[Any] = []
    try:
        number = 0
        while records := puller.pull(size):
            for stage in chain.stages:
                set_current(Running(f"{stage.name}[{number}]"))
                given, rejected, _ = work_batch(
                    stage.work, records, stage.each, stage.corrupt_types
                )
                if rejected:
                    raise CorruptRecord(stage.name, rejected[0][2])
                records = given
            output.extend(records)
            number += 1
    finally:
        puller.close()
        set_current(None)
    return output
