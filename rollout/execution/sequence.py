"""The same steps one after the other, in the caller's thread: the legacy path of an execution.

On purpose without the engine, so that a fault of the engine cannot be in both paths.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rollout.execution.chain import Chain, Stage
from rollout.execution.declaration import Barrier, Failure, Step
from rollout.execution.errors import BarrierClosed, CorruptRecord
from rollout.execution.graph import Graph
from rollout.execution.policies import Fate, StepState, fate
from rollout.execution.running import Running, seed_of, set_current
from rollout.execution.sizing import Auto
from rollout.execution.sources import Puller, Source
from rollout.execution.stage_work import means_the_whole, work_batch


def run_graph_in_sequence(graph: Graph, *, deterministic: bool = False) -> dict[str, Any]:
    """Run a graph step by step; give results by name, as declared.

    Limits in time and resources do not apply: nothing else runs, and the job's own limit holds.

    Args:
        graph: What to run.
        deterministic: As of the engine: a seed per step, the same as there.

    Raises:
        Exception: What the first failed step raised, after all that may still run has; a soft time
            limit of the job, at once.
    """
    states: dict[int, StepState] = {}
    results: dict[int, Any] = {}
    first_error: Exception | None = None

    def work(place: int, number: int) -> Any:
        seed = seed_of(graph.nodes[place].name) if deterministic else None
        set_current(Running(graph.nodes[place].name, number, seed))
        try:
            return _run(graph, place, results)
        finally:
            set_current(None)

    for place in graph.order:
        node = graph.nodes[place]
        parents = graph.parents[place]
        if fate(graph.policies[place], [states[one] for one in parents]) is not Fate.RUNS:
            states[place] = StepState.BLOCKED
            results[place] = Failure(node.name, StepState.BLOCKED.word, None, 0, (node.name,))
            continue
        try:
            results[place] = _attempts(node, partial(work, place))
            states[place] = StepState.SUCCEEDED
        except Exception as error:
            if means_the_whole(error):
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


def _attempts(declared: Step | Barrier | Stage, attempt: Callable[[int], Any]) -> Any:
    """Try as often as declared; an attempt is given its number, from 1."""
    for number in range(1, declared.retries + 1):
        try:
            return attempt(number)
        except Exception as error:
            if means_the_whole(error):
                raise
            time.sleep(declared.retry_wait_s)
    return attempt(declared.retries + 1)


def _run(graph: Graph, place: int, results: dict[int, Any]) -> Any:
    node = graph.nodes[place]
    if isinstance(node, Barrier):
        parents = graph.named_parents(place)
        before = {graph.nodes[parent].name: results[parent] for parent in parents}
        came = True if node.check is None else node.check(before)
        if came is not True:
            raise BarrierClosed(node.name, came)
        return before
    args = [
        results[source] if isinstance(source, int) else [results[one] for one in source]
        for source in graph.needs[place]
    ]
    return node.work(*args, *node.args, **node.kwargs)


def run_chain_in_sequence(
    chain: Chain, source: Source, *, deterministic: bool = False
) -> list[Any]:
    """Take one batch after the other through all stages; give what came out, in order.

    Args:
        chain: The stages.
        source: Records.
        deterministic: As of the engine: a seed per stage and batch, the same as there.

    Raises:
        CorruptRecord: A stage rejected a record; a job's path has no dead letter.
        Exception: What a stage raised, at its last attempt.
    """
    size = chain.size.most if isinstance(chain.size, Auto) else chain.size
    puller = Puller(source, 0)
    output: list[Any] = []

    def work(stage: Stage, batch: int, records: list[Any], number: int) -> list[Any]:
        name = f"{stage.name}[{batch}]"
        set_current(Running(name, number, seed_of(name) if deterministic else None))
        given, rejected, _ = work_batch(stage.work, records, stage.each, stage.corrupt_types)
        if rejected:
            raise CorruptRecord(stage.name, rejected[0][2])
        return given

    try:
        batch = 0
        while records := puller.pull(size):
            for stage in chain.stages:
                records = _attempts(stage, partial(work, stage, batch, records))
            output.extend(records)
            batch += 1
    finally:
        puller.close()
        set_current(None)
    return output
