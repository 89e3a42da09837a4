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

from rollout.execution.chain import Chain, Stage
from rollout.execution.chain_engine import ChainEngine
from rollout.execution.chain_report import ChainReport
from rollout.execution.dead_letter import Caps, DeadLetter
from rollout.execution.declaration import Barrier, Failure, Mapped, Step
from rollout.execution.errors import ExecutionError
from rollout.execution.graph import Graph
from rollout.execution.graph_engine import GraphEngine
from rollout.execution.landing import FileReceipts, Landing, SqliteReceipts
from rollout.execution.path import ExecutionPath, Flow, as_path
from rollout.execution.policies import FailurePolicy, StepState
from rollout.execution.receipts import StepReceipts
from rollout.execution.report import GraphReport
from rollout.execution.running import asking, current, reject
from rollout.execution.sizing import Auto, Bytes

__all__ = [
    "Auto",
    "Barrier",
    "Bytes",
    "Caps",
    "Chain",
    "ChainEngine",
    "ChainReport",
    "DeadLetter",
    "ExecutionError",
    "ExecutionPath",
    "Failure",
    "FailurePolicy",
    "FileReceipts",
    "Flow",
    "Graph",
    "GraphEngine",
    "GraphReport",
    "Landing",
    "Mapped",
    "SqliteReceipts",
    "Stage",
    "Step",
    "StepReceipts",
    "StepState",
    "as_path",
    "asking",
    "current",
    "reject",
]
