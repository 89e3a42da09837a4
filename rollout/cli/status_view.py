"""How a sub-pipeline's status looks: for people and for scripts."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from rollout.cli.output import at_text, facts, percent, plain
from rollout.cli.why_view import judgement_line, leader_line, leader_values, values_of
from rollout.jobs.claims import JobState
from rollout.routing.decision import JobPath, Reason
from rollout.routing.stages import ControlState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollout.desk.status import Status
    from rollout.desk.why import Leader, Pending
    from rollout.routing.ports import TransitionRecord


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to show: each sub-pipeline's status, its last change, what is pending.

    `unjudged` says why nobody can tell what is pending, such as a policy that cannot be read.
    """

    statuses: "Sequence[Status]"
    changes: "Mapping[str, TransitionRecord]"
    pending: "Mapping[str, Pending]" = field(default_factory=dict)
    leader: "Leader | None" = None
    unjudged: str = ""


NOTHING_DECLARED = """\
no sub-pipeline is declared in this ledger yet. Declare one:

  invoices = SubPipeline("invoices", app=app, effects="commit", key="id")

and submit its first job, or start a worker: `rollout up -A MODULE`"""


def render(found: Found) -> RenderableType:
    if not found.statuses:
        return Text(NOTHING_DECLARED)
    parts: list[RenderableType] = []
    for one in found.statuses:
        parts += [_title(one.state), facts(_lines(one, found)), Text("")]
    if found.leader is not None:
        return Group(*parts, Text(f"leader: {plain(leader_line(found.leader))}"))
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


def _lines(one: "Status", found: Found) -> list[tuple[str, str]]:
    state, last = one.state, found.changes.get(one.state.name)
    observed = "nothing yet" if one.observed_bp is None else percent(one.observed_bp)
    rows = [
        (
            "scope",
            f"{percent(state.scope_bp)} ({state.scope_bp} bp, at most {state.scope_bp_max}); "
            f"observed on finished jobs: {observed}",
        ),
        ("starts now", _gate(one)),
    ]
    rows += [(str(path), _jobs(one, path)) for path in JobPath]
    rows.append(("failed", f"{one.kept} kept" + _look(one)))
    rows.append(("fallbacks", f"{one.fallbacks} taken over by legacy"))
    pending = found.pending.get(state.name)
    if pending is None:
        rows.append(("judgement", f"unknown: {found.unjudged}"))
    else:
        rows += [("judgement", judgement_line(pending)), ("way back", _way_back(pending))]
    if last is not None:
        why = f": {last.reason}" if last.reason else ""
        rows.append(("last change", f"{last.event} by {last.actor}, {at_text(last.at)}{why}"))
    return rows


def _way_back(pending: "Pending") -> str:
    reasons = pending.not_ready
    if pending.seen is None:
        return "unknown: no controller has looked at it yet"
    return f"NOT READY: {reasons[0]}" if reasons else f"ready: {pending.way_back}"


def _gate(one: "Status") -> str:
    closed = one.closed
    if closed is None:
        lag = "" if one.gate_revision == one.state.revision else ", which is not the newest"
        return f"concurrent inside the scope (supervised, revision {one.gate_revision}{lag})"
    text = f"legacy: {closed} ({closed.means.closes})"
    gate_killed = one.gate.killed or one.gate.killed_all
    if gate_killed and not one.state.killed:
        text += "; the latch is in the control store only, the controller's next tick settles it"
    if one.state.killed and not gate_killed and closed is not Reason.UNREACHABLE:
        text += "; the store lost the latch, the controller's next tick sets it"
    return text


def _jobs(one: "Status", path: JobPath) -> str:
    waiting, running = (one.waiting(path, state) for state in (JobState.ACCEPTED, JobState.STARTED))
    return f"{waiting} waiting, {running} running, {one.committed(path)} committed"


def _look(one: "Status") -> str:
    return f"; `rollout jobs {one.state.name} --failed` lists them" if one.kept else ""


def as_values(found: Found) -> dict[str, Any]:
    return {
        "sub_pipelines": [_values(one, found) for one in found.statuses],
        "leader": None if found.leader is None else leader_values(found.leader),
    }


def _values(one: "Status", found: Found) -> dict[str, Any]:
    last, pending = found.changes.get(one.state.name), found.pending.get(one.state.name)
    state, gate = one.state, one.gate
    return {
        "name": state.name,
        "at": one.at,
        "stage": str(state.stage),
        "killed": state.killed,
        "frozen": state.frozen,
        "scope_bp": state.scope_bp,
        "scope_bp_max": state.scope_bp_max,
        "holdback_bp": state.holdback_bp,
        "observed_bp": one.observed_bp,
        "revision": state.revision,
        "gate": {
            "open": one.closed is None,
            "reason": one.closed,
            "reachable": gate.doubt is not Reason.UNREACHABLE,
            "supervised": gate.supervised,
            "killed": gate.killed,
            "killed_all": gate.killed_all,
            "revision": one.gate_revision,
        },
        "waiting": {path: one.waiting(path, JobState.ACCEPTED) for path in JobPath},
        "running": {path: one.waiting(path, JobState.STARTED) for path in JobPath},
        "committed": {path: one.committed(path) for path in JobPath},
        "failed_kept": one.kept,
        "fallbacks": one.fallbacks,
        "judgement": {"unseen": found.unjudged} if pending is None else values_of(pending),
        "last_change": last
        and {
            "at": last.at,
            "event": str(last.event),
            "actor": last.actor,
            "reason": last.reason,
        },
    }
