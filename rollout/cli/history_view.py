"""`history`: who changed what, what the controller decided, when and why."""

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from rollout.cli.options import AsJson, Limit, Name
from rollout.cli.output import listing, percent, say, show, show_json
from rollout.cli.session import opened
from rollout.cli.why_view import summary
from rollout.routing.stages import ControlState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout.pilot.ports import DecisionRecord
    from rollout.routing.ports import TransitionRecord

_CONTROLLER = "controller"
"""The actor of changes that carry a decision out."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(history)


def history(ctx: typer.Context, name: Name, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Show changes and decisions of a sub-pipeline, newest first."""
    with opened(ctx, servers="") as runtime:
        records = runtime.ledger.transitions(name, limit)
        decided = runtime.ledger.decisions(name, limit)
    if as_json:
        show_json(
            {
                "name": name,
                "transitions": [values_of(record) for record in records],
                "decisions": [summary(one) for one in decided],
            }
        )
    elif not records and not decided:
        say(f"{name}: declared and never changed; `rollout start {name}` begins")
    else:
        head = ("UTC", "rev", "event", "now", "by", "id", "why")
        show(listing(head, timeline(records, decided)[:limit], whole=3))
        if decided:
            say("`rollout decision ID` shows the evidence of a decision")


def timeline(
    records: "Sequence[TransitionRecord]", decided: "Sequence[DecisionRecord]"
) -> list[tuple[object, ...]]:
    """Changes and decisions in one table, newest first; a decision that changed is one line."""
    ids = {(one.at, one.sentence): one.decision_id for one in decided}
    changes = [
        (one.at, one.after.revision, _change(one, ids.get((one.at, one.reason)))) for one in records
    ]
    carried_out = {(one.at, one.reason) for one in records if one.actor == _CONTROLLER}
    holds = [
        (one.at, one.revision, _decision(one))
        for one in decided
        if (one.at, one.sentence) not in carried_out
    ]
    rows: list[tuple[datetime, int, tuple[object, ...]]] = [*changes, *holds]
    return [row for _, _, row in sorted(rows, key=lambda one: one[:2], reverse=True)]


def values_of(record: "TransitionRecord") -> dict[str, Any]:
    """What scripts read about a change."""
    return {
        "at": record.at,
        "event": str(record.event),
        "actor": record.actor,
        "reason": record.reason,
        "before": asdict(record.before),
        "after": asdict(record.after),
        "met": asdict(record.met) if record.met else None,
    }


def _change(record: "TransitionRecord", decision_id: int | None) -> tuple[object, ...]:
    after = record.after
    return (
        f"{record.at:%Y-%m-%d %H:%M:%S}",
        after.revision,
        record.event,
        _now(after),
        record.actor,
        decision_id if record.actor == _CONTROLLER else None,
        _why(record),
    )


def _why(record: "TransitionRecord") -> str:
    if record.met is None:
        return record.reason
    return f"{record.reason} (met {record.met.queued} queued, {record.met.running} running jobs)"


def _decision(record: "DecisionRecord") -> tuple[object, ...]:
    """A decision that changed nothing."""
    at = f"{record.at:%Y-%m-%d %H:%M:%S}"
    return (
        at,
        record.revision,
        record.action,
        "",
        _CONTROLLER,
        record.decision_id,
        record.sentence,
    )


def _now(state: ControlState) -> str:
    words = [str(state.stage), percent(state.scope_bp)]
    words += ["killed"] if state.killed else []
    words += ["frozen"] if state.frozen else []
    return " ".join(words)
