"""`history`: who changed what, when and why."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from rollout.cli.options import AsJson, Limit, Name
from rollout.cli.output import listing, percent, say, show, show_json
from rollout.cli.session import opened
from rollout.core.stages import ControlState

if TYPE_CHECKING:
    from rollout.ports import TransitionRecord


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(history)


def history(ctx: typer.Context, name: Name, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Show the changes of a sub-pipeline, newest first."""
    with opened(ctx, servers="") as runtime:
        records = runtime.ledger.transitions(name, limit)
    if as_json:
        show_json({"name": name, "transitions": [values_of(record) for record in records]})
    elif not records:
        say(f"{name}: declared and never changed; `rollout start {name}` begins")
    else:
        show(listing(("UTC", "rev", "event", "now", "by", "why"), map(_row, records), whole=3))


def values_of(record: "TransitionRecord") -> dict[str, Any]:
    """What scripts read about a change."""
    return {
        "at": record.at,
        "event": str(record.event),
        "actor": record.actor,
        "reason": record.reason,
        "before": asdict(record.before),
        "after": asdict(record.after),
    }


def _row(record: "TransitionRecord") -> tuple[object, ...]:
    after = record.after
    return (
        f"{record.at:%Y-%m-%d %H:%M:%S}",
        after.revision,
        record.event,
        _now(after),
        record.actor,
        record.reason,
    )


def _now(state: ControlState) -> str:
    words = [str(state.stage), percent(state.scope_bp)]
    words += ["killed"] if state.killed else []
    words += ["frozen"] if state.frozen else []
    return " ".join(words)
