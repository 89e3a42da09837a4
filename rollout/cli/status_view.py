"""How the first screen looks: each sub-pipeline on a small page."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.output import at_text, facts, percent, plain
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath
from rollout.routing.stages import ControlState

if TYPE_CHECKING:
    from rollout.desk.board import Board
    from rollout.desk.status import Status

NOTHING_DECLARED = """\
no sub-pipeline is declared in this ledger yet. Declare one:

  invoices = SubPipeline("invoices", app=app, effects="commit", key="id")

and submit its first job, or start a worker: `rollout up -A MODULE`"""


def render(board: "Board") -> RenderableType:
    """Every sub-pipeline, then who leads."""
    if not board.statuses:
        return Text(NOTHING_DECLARED)
    parts: list[RenderableType] = []
    for one in board.statuses:
        parts += [_title(one.state), facts(_lines(one, board)), Text("")]
    if board.leader is not None:
        return Group(*parts, Text(f"leader: {plain(board.leader.sentence)}"))
    return Group(*parts[:-1])


def _title(state: ControlState) -> Text:
    title = Text.assemble((plain(state.name), "bold"), ": ")
    if state.killed:
        title.append("KILLED", "bold red")
        title.append(f" (stage {state.stage})")
    else:
        title.append(f"stage {state.stage}", "bold")
    if state.frozen:
        title.append(", ")
        title.append("FROZEN", "bold yellow")
    return title.append(f", revision {state.revision}")


def _lines(one: "Status", board: "Board") -> list[tuple[str, str]]:
    state, last = one.state, board.changes.get(one.state.name)
    observed = "nothing yet" if one.observed_bp is None else percent(one.observed_bp)
    rows = [
        (
            "scope",
            f"{percent(state.scope_bp)} ({state.scope_bp} bp, at most {state.scope_bp_max}); "
            f"observed on finished jobs: {observed}",
        ),
        ("starts now", one.starts_now),
    ]
    rows += [(str(path), _jobs(one, path)) for path in JobPath]
    rows.append(("failed", f"{one.kept} kept" + _look(one)))
    rows.append(("fallbacks", f"{one.fallbacks} taken over by legacy"))
    pending = board.pending.get(state.name)
    if pending is None:
        rows.append(("judgement", f"unknown: {board.unjudged}"))
    else:
        rows += [("judgement", pending.sentence), ("way back", pending.way_back_ready)]
    if last is not None:
        why = f": {last.reason}" if last.reason else ""
        rows.append(("last change", f"{last.event} by {last.actor}, {at_text(last.at)}{why}"))
    return rows


def _jobs(one: "Status", path: JobPath) -> str:
    waiting, running = (one.waiting(path, state) for state in (JobState.ACCEPTED, JobState.STARTED))
    return f"{waiting} waiting, {running} running, {one.committed(path)} committed"


def _look(one: "Status") -> str:
    return f"; `rollout jobs {one.state.name} --failed` lists them" if one.kept else ""
