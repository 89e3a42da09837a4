"""A run in the terminal while it runs: bars by step or stage, what runs, and why slots idle."""

from contextlib import suppress

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rollout.execution.chain_engine import ChainEngine
from rollout.execution.chain_report import ChainReport
from rollout.execution.crew import now_s
from rollout.execution.errors import ExecutionError
from rollout.execution.graph_engine import GraphEngine
from rollout.execution.policies import StepState
from rollout.execution.report import GraphReport
from rollout.execution.why import Why, listed

REFRESH_S = 0.2
ROWS_MAX = 20
"""Steps and groups with a row of their own; the rest is one row."""


def watch(
    engine: GraphEngine | ChainEngine, console: Console | None = None
) -> GraphReport | ChainReport:
    """Start a run, show it until it ends, and give its report; errors as of `run`."""
    engine.start()
    try:
        with Live(view(engine), console=console, auto_refresh=False) as live:
            while not engine.crew.is_over(REFRESH_S):
                live.update(view(engine), refresh=True)
            live.update(view(engine), refresh=True)
    except BaseException as error:
        engine.stop(f"interrupted by {type(error).__name__}")
        with suppress(ExecutionError):
            engine.wait()
        raise
    return engine.wait()


def view(engine: GraphEngine | ChainEngine) -> Group:
    """The run at this moment."""
    with engine.crew.lock:
        bars = _graph_bars(engine) if isinstance(engine, GraphEngine) else _chain_bars(engine)
        now = now_s()
        running = [
            f"{engine.name(task)} {now - since:.1f} s"
            for task, (_, since) in engine.crew.running.items()
        ]
        idle = engine.idle_reason() or "nothing is left"
    return Group(bars, Text(f"running  {listed(running) or 'nothing'}"), Text(f"slots    {idle}"))


def _graph_bars(engine: GraphEngine) -> Table:
    graph, states = engine.graph, engine.board.states
    mapped = {place for places in graph.groups.values() for place in places}
    rows = dict(graph.groups) | {
        node.name: [place] for place, node in enumerate(graph.nodes) if place not in mapped
    }
    shown = list(rows.items())
    if len(shown) > ROWS_MAX:
        rest = [place for _, places in shown[ROWS_MAX:] for place in places]
        shown = [*shown[:ROWS_MAX], (f"{len(shown) - ROWS_MAX} more", rest)]
    table = Table("step", "", "ended", "not well", box=None)
    for name, places in shown:
        ended = sum(states[place] >= StepState.SUCCEEDED for place in places)
        bad = sum(states[place] > StepState.SUCCEEDED for place in places)
        bar = ProgressBar(total=max(1, len(places)), completed=ended, width=30)
        table.add_row(name, bar, f"{ended}/{len(places)}", str(bad or ""))
    return table


def _chain_bars(engine: ChainEngine) -> Table:
    board = engine.board
    table = Table("stage", "workers busy", "", "waiting before it", box=None)
    for place, name in enumerate(engine.chain.names):
        busy, workers = len(board.running[place]), board.workers[place]
        bar = ProgressBar(total=workers, completed=busy, width=30)
        table.add_row(name, f"{busy}/{workers}", bar, str(len(board.inbox[place]) or ""))
    landed = f"{engine.lander.batches} batches, {engine.lander.records} records"
    table.add_row("landed", landed, "", "")
    return table


def table(answers: list[Why]) -> Table:
    """Answers of `why` as a table for the terminal."""
    drawn = Table("step", "state", "why")
    for one in answers:
        drawn.add_row(one.name, one.state, one.sentence)
    return drawn
