"""`as_path`: a graph or a chain as the two paths of a sub-pipeline.

    def load(day, origin):
        return Graph("load", [...])              # or: return Flow(chain, source)

    path = as_path(load, workers=4)
    invoices.legacy(path.legacy)                 # the same steps in sequence
    invoices.concurrent(path.concurrent)         # the engine

Whoever runs the job wraps the concurrent path in `asking(may_go_on)`: it is asked before each new
step or batch, and anything but True ends the path with `Stopped`, so that nothing reaches a commit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Any

from rollout.execution.chain import Chain
from rollout.execution.chain_engine import ChainEngine
from rollout.execution.errors import BatchFailed, StepsFailed, UnknownStep, WrongDeclaration
from rollout.execution.graph import Graph
from rollout.execution.graph_engine import GraphEngine
from rollout.execution.sequence import run_chain_in_sequence, run_graph_in_sequence
from rollout.execution.sources import Source


@dataclass(frozen=True)
class Flow:
    """A chain with the source of one job; what comes out of the last stage is the job's result."""

    chain: Chain
    source: Source


Built = Graph | Flow

OF_ONE_RUN = {
    "receipts": "the second job would find the first one's and do nothing; run the engine yourself",
    "dead_letter": "each job would drop the letters of the one before, and legacy has none; "
    "fail the job, or give the corrupt records back in its result",
    "sink": "a job's records land in its commit hook; what the last stage gives is its result",
    "may_go_on": "a job asks for its own kill; elsewhere write asking(...) around the call",
}
"""Options of an engine that belong to one run, while the paths serve every job; and what to do."""


@dataclass(frozen=True)
class ExecutionPath:
    """Both ways through the same steps; each takes the arguments of the function that built it.

    Attributes:
        concurrent: By the engine.
        legacy: One after the other, without it.
    """

    concurrent: Callable[..., Any]
    legacy: Callable[..., Any]


def as_path(
    build: Callable[..., Built], *, result: str | None = None, **options: Any
) -> ExecutionPath:
    """Make the paths of a sub-pipeline from a function that builds a job's execution.

    Args:
        build: Takes the job's arguments and gives a `Graph` or a `Flow`. It runs on both paths, so
            it must only declare.
        result: Step whose result is the job's; None is the last one declared. For a graph only.
        options: Of `GraphEngine`, such as `workers=4`, or for a `Flow` of `ChainEngine`; none of
            `OF_ONE_RUN`.

    Returns:
        Two functions with the name and the arguments of `build`. They raise what the step raised
        that failed first; the concurrent one raises `Stopped` when it was told to stop.

    Raises:
        WrongDeclaration: No engine has such an option, or it belongs to one run. One that only the
            other engine has is refused when a job has been built.
    """
    for name in options:
        if name in OF_ONE_RUN:
            raise WrongDeclaration(
                f"{name!r} cannot be an option of a path, which serves many jobs", OF_ONE_RUN[name]
            )
        if name not in _options_of(GraphEngine) | _options_of(ChainEngine):
            _refuse(name, GraphEngine, ChainEngine)

    # Without it a step that takes its seed would give other results on each path.
    deterministic = bool(options.get("deterministic", False))

    @wraps(build)
    def concurrent(*args: Any, **kwargs: Any) -> Any:
        built = _built(build(*args, **kwargs))
        if isinstance(built, Flow):
            return _flow(built, options)
        report = _graph(built, options)
        return _result(built, report, result)

    @wraps(build)
    def legacy(*args: Any, **kwargs: Any) -> Any:
        built = _built(build(*args, **kwargs))
        if isinstance(built, Flow):
            return run_chain_in_sequence(built.chain, built.source, deterministic=deterministic)
        return _result(built, run_graph_in_sequence(built, deterministic=deterministic), result)

    return ExecutionPath(concurrent, legacy)


def _options_of(engine: type[GraphEngine | ChainEngine]) -> set[str]:
    every = signature(engine).parameters.values()
    return {one.name for one in every if one.kind is Parameter.KEYWORD_ONLY} - OF_ONE_RUN.keys()


def _refuse(name: str, *engines: type[GraphEngine | ChainEngine]) -> None:
    known = {one for engine in engines for one in _options_of(engine)}
    own = ", which each stage has of its own" if name == "workers" else ""
    hint = "write Stage(..., workers=4)" if own else f"there are {', '.join(sorted(known))}"
    said = " or ".join(engine.__name__ for engine in engines)
    raise WrongDeclaration(f"{said} has no option {name!r}{own}", hint)


def _built(built: Any) -> Built:
    if isinstance(built, Graph | Flow):
        return built
    raise WrongDeclaration(
        f"the function of an execution must give a Graph or a Flow, got {built!r:.80}",
        "return Graph(...), or Flow(chain, source)",
    )


def _result(graph: Graph, results: Any, name: str | None) -> Any:
    name = name or graph.last
    if name in graph.groups:
        return [results[graph.names[place]] for place in graph.groups[name]]
    if name not in graph.index:
        raise UnknownStep(name, graph.index)
    return results[name]


def _graph(graph: Graph, options: dict[str, Any]) -> Any:
    for name in options.keys() - _options_of(GraphEngine):
        _refuse(name, GraphEngine)
    try:
        return GraphEngine(graph, **options).run().results
    except StepsFailed as failed:
        # Both paths raise the step's own error, so that what Celery retries is the same on both.
        raise _first_error(failed) from failed


def _first_error(failed: StepsFailed) -> BaseException:
    errors = (failure.error for failure in failed.report.failures.values())
    return next((error for error in errors if error is not None), failed)


def _flow(flow: Flow, options: dict[str, Any]) -> list[Any]:
    for name in options.keys() - _options_of(ChainEngine):
        _refuse(name, ChainEngine)
    try:
        return ChainEngine(flow.chain, flow.source, **options).run().output
    except BatchFailed as failed:
        raise failed.error from failed
