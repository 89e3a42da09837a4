"""`start`, `scope`, `double`, `graduate`, `revert`, `freeze`, `unfreeze`, `rearm`."""

from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli.changed_view import close, sentence
from rollout.cli.options import (
    Actor,
    AsJson,
    Name,
    NeededReason,
    OneOrAll,
    Reason,
    Revision,
    caller_of,
    one_or_all,
    said,
)
from rollout.cli.output import say, show_json, warn
from rollout.cli.session import opened
from rollout.errors import BrokerUnreachable
from rollout.routing.stages import Event

if TYPE_CHECKING:
    from rollout.wiring import Runtime


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (start, scope, double, graduate, revert, freeze, unfreeze, rearm):
        app.command()(command)


def start(
    ctx: typer.Context,
    name: Name,
    reason: Reason = "",
    revision: Revision = None,
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Begin: the first step's share of jobs runs on the concurrent path."""
    change(ctx, name, Event.START, reason, revision, actor, as_json)
    if not as_json:
        from rollout.cli.plan_command import say_plan

        say_plan(ctx, name)


def scope(
    ctx: typer.Context,
    name: Name,
    scope_bp: Annotated[
        int,
        typer.Argument(metavar="BP", help="Basis points of jobs: 100 is 1 %.", show_default=False),
    ],
    reason: Reason = "",
    revision: Revision = None,
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Set the share of jobs on the concurrent path by hand."""
    change(ctx, name, Event.SCOPE, reason, revision, actor, as_json, scope_bp)


def double(
    ctx: typer.Context,
    name: Name,
    reason: Reason = "",
    revision: Revision = None,
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Double the share of jobs on the concurrent path."""
    change(ctx, name, Event.DOUBLE, reason, revision, actor, as_json)


def graduate(
    ctx: typer.Context,
    name: Name,
    reason: Reason = "",
    revision: Revision = None,
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """End the pilot well; only the holdback stays on legacy."""
    change(ctx, name, Event.GRADUATE, reason, revision, actor, as_json)


def revert(
    ctx: typer.Context,
    name: Name,
    reason: NeededReason = "",
    revision: Revision = None,
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Take the scope back to 0; running jobs may finish."""
    change(ctx, name, Event.REVERT, reason, revision, actor, as_json)


def freeze(
    ctx: typer.Context,
    name: Name,
    reason: Reason = "",
    revision: Revision = None,
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Let the scope not grow."""
    change(ctx, name, Event.FREEZE, reason, revision, actor, as_json)


def unfreeze(
    ctx: typer.Context,
    name: Name,
    reason: Reason = "",
    revision: Revision = None,
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Let the scope grow again."""
    change(ctx, name, Event.UNFREEZE, reason, revision, actor, as_json)


def rearm(
    ctx: typer.Context,
    name: OneOrAll = None,
    every: Annotated[bool, typer.Option("--all", help="Lift `kill --all`.")] = False,
    reason: NeededReason = "",
    revision: Revision = None,
    actor: Actor = "",
    as_json: AsJson = False,
) -> None:
    """Lift a kill; what it covered is in force again."""
    one_or_all(name, every)
    if every and revision is not None:
        raise typer.BadParameter("--revision is that of one sub-pipeline, not of --all")
    with opened(ctx) as runtime:
        caller = caller_of(actor)
        changed = runtime.door.rearm(caller, name, said(reason), seen_revision=revision)
        gates = {one.state.name: runtime.control.read(one.state.name) for one in changed}
    if as_json:
        show_json({"rearmed": [one.to_json() for one in changed]})
    else:
        for one in changed:
            say(sentence(one.state))
        if not changed:
            say("the kill of all is lifted; no sub-pipeline is in force again by that")
    close(changed, gates)


def change(
    ctx: typer.Context,
    name: str,
    event: Event,
    reason: str,
    revision: int | None,
    actor: str,
    as_json: bool,
    scope_bp: int | None = None,
) -> None:
    """Apply an event and print what is now true."""
    starts = event in (Event.START, Event.SHADOW)
    with opened(ctx, servers="store broker" if starts else "store") as runtime:
        changed = runtime.door.change(
            caller_of(actor), name, event, said(reason), scope_bp=scope_bp, seen_revision=revision
        )
        unheard = _unheard(runtime, name) if starts else []
        left_out = runtime.desk.shadow_first(name) if event is Event.START else None
    if as_json:
        told = {"unheard": unheard, "shadow_first": left_out}
        show_json({"event": str(event), **changed.to_json(), **told})
    else:
        say(sentence(changed.state))
        if left_out is not None:
            say(left_out)
    for line in unheard:
        warn(line)
    close([changed])


def _unheard(runtime: "Runtime", name: str) -> list[str]:
    """Queues on which nobody listens; what cannot be asked is said and stops no start."""
    try:
        return runtime.desk.unheard(name)
    except BrokerUnreachable as error:
        return [f"who listens on the queues is not known: {error.problem}"]
