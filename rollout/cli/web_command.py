"""`web` serves page and API; `token` says who may come in without a person's sign-in."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from rollout.cli.options import AsJson, caller_of
from rollout.cli.output import at_text, listing, say, show, show_json
from rollout.cli.session import opened, runtime_of, settings_of

RoleOption = Annotated[
    str,
    typer.Option(metavar="ROLE", help="viewer, safer-only, operator or admin.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(web)
    tokens = typer.Typer(
        no_args_is_help=True, help="Make, list and revoke tokens.", rich_markup_mode=None
    )
    tokens.command()(create)
    tokens.command("list")(list_tokens)
    tokens.command()(revoke)
    app.add_typer(tokens, name="token")


def web(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.", show_default="web_host")] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port.", show_default="web_port")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Change nothing.")] = False,
) -> None:
    """Serve the page for the person on call, and the API under it."""
    from rollout.web.serve import serve

    settings = settings_of(ctx)
    given: dict[str, object] = {}
    if host:
        given["web_host"] = host
    if port is not None:
        given["web_port"] = port
    if read_only:
        given["web_read_only"] = True
    chosen = settings.model_copy(update=given)
    runtime = runtime_of(chosen, "store broker")
    try:
        serve(runtime, say)
    except KeyboardInterrupt:  # uvicorn has stopped in order, and hands the signal on
        say("stopped")
    finally:
        runtime.close()


def create(
    ctx: typer.Context,
    role: RoleOption,
    holder: Annotated[
        str, typer.Option("--for", metavar="NAME", help="Who holds it.", show_default="you")
    ] = "",
    sub_pipeline: Annotated[
        list[str] | None,
        typer.Option(help="Only for this one; may be given again.", show_default="all"),
    ] = None,
    days: Annotated[float, typer.Option(min=0, help="How long it lasts; 0 is for ever.")] = 90.0,
    as_json: AsJson = False,
) -> None:
    """Make a token; its secret is shown once."""
    from rollout.control.access import Role

    try:
        chosen = Role(role)
    except ValueError:
        known = ", ".join(Role)
        raise typer.BadParameter(f"--role must be one of {known}, got {role!r}") from None
    try:
        lasts = timedelta(days=days) if days else None
    except (OverflowError, ValueError):
        raise typer.BadParameter(f"--days must be a number of days, got {days}") from None
    maker = caller_of("")
    names = "every sub-pipeline" if sub_pipeline is None else ", ".join(sub_pipeline)
    said = f"a token for {holder or maker.actor}: {chosen}, {names}"
    with opened(ctx, servers="") as runtime:
        made = runtime.door.token(
            maker,
            said,
            lambda: runtime.tokens.create(
                holder or maker.actor, chosen, sub_pipeline, lasts, maker.actor
            ),
        )
    if as_json:
        show_json(made.to_json())
        return
    token = made.token
    names = "every sub-pipeline" if token.names is None else ", ".join(sorted(token.names))
    ends = "for ever" if token.ends_at is None else f"until {at_text(token.ends_at)}"
    say(f"token {token.token_id} for {token.actor}: {token.role}, {names}, {ends}")
    say(made.secret, "bold")
    say("it is not shown again; `Authorization: Bearer ...` carries it")


def list_tokens(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List tokens, newest first, without their secrets."""
    from rollout.control.tokens import tokens_json

    with opened(ctx, servers="") as runtime:
        tokens, now = runtime.tokens.every(), runtime.clock.now()
    if as_json:
        show_json(tokens_json(tokens))
        return
    if not tokens:
        say("no token was made yet; `rollout token create --role safer-only` makes one")
        return
    rows = [
        (
            one.token_id,
            one.actor,
            one.role,
            "all" if one.names is None else ", ".join(sorted(one.names)),
            one.state(now),
            "never" if one.ends_at is None else at_text(one.ends_at),
        )
        for one in tokens
    ]
    show(listing(("id", "holder", "role", "sub-pipelines", "state", "ends"), rows, whole=1))


def revoke(
    ctx: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="From `token list`.")],
) -> None:
    """Revoke a token, and end the sessions that began with it."""
    with opened(ctx, servers="") as runtime:
        runtime.door.token(
            caller_of(""), f"token {token_id} is revoked", lambda: runtime.tokens.revoke(token_id)
        )
    say(f"token {token_id} is revoked; nobody comes in with it any more")
