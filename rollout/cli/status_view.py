"""How the first screen looks: each sub-pipeline on a small page."""

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.output import at_text, facts, percent, plain
from rollout.desk.runbooks import command_of
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath, Reason
from rollout.routing.stages import ControlState

if TYPE_CHECKING:
    from rollout.desk.board import Board
    from rollout.desk.status import Status

PAGES_MAX = 20
"""Of more sub-pipelines each has a line, not a page."""

_SAID_BELOW = {"way back", "kept"}
"""Alarms whose sentence stands in a line of its own anyway."""

_SAID_ONCE = {*_SAID_BELOW, "unsupervised", "store", "killed"}
"""Where each has a line: what its columns say, or what is true of all and stands above them."""

_COLUMNS = "{:{w}}  {:16} {:>7} {:>9} {:>9} {:>6}"

_STYLES = {"NOW": "bold red", "SOON": "bold yellow"}

NOTHING_DECLARED = """\
no sub-pipeline is declared in this ledger yet. Declare one:

  invoices = SubPipeline("invoices", app=app, effects="commit", time_limit=60)

and submit its first job, or start a worker: `rollout up -A MODULE`"""


def render(board: "Board") -> RenderableType:
    """Who leads if nobody does, every sub-pipeline by need, then who leads."""
    if not board.statuses:
        return Text(NOTHING_DECLARED)
    parts: list[RenderableType] = []
    leads = board.leader is None or board.leader.alive
    if board.leader is not None and not leads:
        sentence = f"{board.leader.sentence} (what to do: {command_of('nobody-judges.md')})"
        parts += [Text(plain(sentence), "bold red"), Text("")]
    if board.in_short:
        parts += [_in_short(board), Text("")]
    for one in [] if board.in_short else board.by_need:
        parts += [_title(one.state), facts([*_alarms(one, board), *_lines(one, board)]), Text("")]
    if board.policy_difference is not None:
        parts.append(Text(f"policy: {plain(board.policy_difference)}", "yellow"))
    if board.leader is not None and leads:
        return Group(*parts, Text(f"leader: {plain(board.leader.sentence)}"))
    return Group(*parts[:-1]) if board.policy_difference is None else Group(*parts)


def _in_short(board: "Board") -> RenderableType:
    """A line for each sub-pipeline, those that need somebody first; what is wrong stands below."""
    lines = [Text(f"{len(board.statuses)} sub-pipelines; `rollout status NAME` shows one whole")]
    closed = Counter(one.closed for one in board.statuses)
    for reason, count in closed.most_common():
        if reason is not None and reason not in (Reason.STAGE, Reason.KILLED):
            what = f"starts of {count} go to legacy: {reason} ({reason.means.closes})"
            lines.append(Text(what, "bold red"))
    width = max(len(plain(one.state.name)) for one in board.statuses)
    titles = ("", "stage", "scope", "waiting", "running", "kept")
    lines.append(Text(_COLUMNS.format(*titles, w=width), "dim"))
    for need, one in board.with_need:
        state = one.state
        waiting, running = (
            sum(one.waiting(path, state) for path in JobPath)
            for state in (JobState.ACCEPTED, JobState.STARTED)
        )
        stage = "KILLED" if state.killed else f"{state.stage}{' FROZEN' * state.frozen}"
        values = (plain(state.name), stage, percent(state.scope_bp), waiting, running, one.kept)
        style = "bold red" if state.killed else ""
        lines.append(Text(_COLUMNS.format(*values, w=width), style))
        alarms = [alarm for alarm in board.alarms(one) if alarm.what not in _SAID_ONCE]
        for alarm in alarms[:1]:
            lines.append(Text(f"  {plain(alarm.sentence)}", _STYLES.get(need.name, "")))
    return Group(*lines)


def _alarms(one: "Status", board: "Board") -> list[tuple[str, RenderableType]]:
    """What is wrong, before everything else."""
    rows: list[tuple[str, RenderableType]] = []
    for alarm in board.alarms(one):
        if alarm.what in _SAID_BELOW:
            continue
        text = Text(plain(alarm.sentence), _STYLES.get(alarm.need.name, ""))
        if alarm.runbook:
            text.append(f" (what to do: {command_of(alarm.runbook)})", "not bold default")
        rows.append((alarm.what, text))
    if one.drill is not None:
        rows.append(("drill", Text(plain(one.drill.sentence), "yellow")))
    return rows


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


def _lines(one: "Status", board: "Board") -> list[tuple[str, RenderableType]]:
    state, last = one.state, board.changes.get(one.state.name)
    observed = "nothing yet" if one.observed_bp is None else percent(one.observed_bp)
    rows: list[tuple[str, RenderableType]] = [
        (
            "scope",
            f"{percent(state.scope_bp)} ({state.scope_bp} bp, at most {state.scope_bp_max}); "
            f"observed on finished jobs: {observed}",
        ),
        ("starts now", one.starts_now),
    ]
    rows += [(str(path), one.jobs_sentence(path)) for path in JobPath]
    rows.append(("builds", one.releases.sentence))
    rows.append(("failed", f"{one.kept} kept" + _look(one)))
    by_drills = f", and {one.drilled} that drills had broken or moved" if one.drilled else ""
    rows.append(("fallbacks", f"{one.fallbacks} taken over by legacy{by_drills}"))
    cancelled, expired = (one.ended(state) for state in (JobState.CANCELLED, JobState.EXPIRED))
    if cancelled or expired:
        rows.append(("called off", f"{cancelled} revoked, {expired} expired"))
    if one.opted_out:
        rows.append(("opted out", f"{one.opted_out} jobs: their callers named a queue"))
    pending = board.pending.get(state.name)
    if pending is None:
        rows.append(("judgement", f"unknown: {board.unjudged}"))
    else:
        rows += [("judgement", pending.sentence), ("way back", pending.way_back_ready)]
    if last is not None:
        why = f": {last.reason}" if last.reason else ""
        rows.append(("last change", f"{last.event} by {last.actor}, {at_text(last.at)}{why}"))
    return rows


def _look(one: "Status") -> str:
    return f"; `rollout jobs {one.state.name} --failed` lists them" if one.kept else ""
