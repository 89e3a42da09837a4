"""One engine, three shapes: barriers, a graph, and overlapping micro-batches.

    from rollout.execution import Barrier, Graph, GraphEngine, Mapped, Step

    graph = Graph("nightly", [
        Step("fetch", fetch),
        Mapped("load", load, over=range(12), needs=["fetch"], limit=4),
        Barrier("complete", after=["load"], check=lambda results: len(results["load[0]"]) > 0),
        Step("publish", publish, after=["complete"]),
    ])
    report = GraphEngine(graph, workers=8).run()

Nothing here is loaded by who does not import it; rich, Celery and asyncio only by what needs them.
"""

from rollout.execution.declaration import Barrier, Failure, Mapped, Step
from rollout.execution.errors import ExecutionError
from rollout.execution.graph import Graph
from rollout.execution.graph_engine import GraphEngine
from rollout.execution.policies import FailurePolicy, StepState
from rollout.execution.receipts import StepReceipts
from rollout.execution.report import GraphReport
from rollout.execution.running import asking, current, reject

__all__ = [
    "Barrier",
    "ExecutionError",
    "Failure",
    "FailurePolicy",
    "Graph",
    "GraphEngine",
    "GraphReport",
    "Mapped",
    "Step",
    "StepReceipts",
    "StepState",
    "asking",
    "current",
    "reject",
]
