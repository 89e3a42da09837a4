"""Arguments and options that several commands share."""

import re
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rollout.control.access import Caller

Name = Annotated[str, typer.Argument(metavar="NAME", help="The sub-pipeline.", show_default=False)]
AnyName = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="The sub-pipeline; without it all.", show_default=False),
]
OneOrAll = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="The sub-pipeline.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Revision = Annotated[
    int | None,
    typer.Option(
        help="Refuse when the revision is not this one: somebody else was faster.",
        show_default=False,
    ),
]
Actor = Annotated[str, typer.Option(help="Who acts, for the log.", show_default="the user's name")]
Reason = Annotated[str, typer.Option(help="Why, for the log.", show_default=False)]
NeededReason = Annotated[str, typer.Option(help="Why, for the log; needed.", show_default=False)]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Most lines to show.")]

Reveal = Annotated[
    bool, typer.Option("--reveal", help="Show what is masked; the log keeps that you looked.")
]

Since = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help="From then on: 03:00 (UTC, today or yesterday), '2026-11-26 03:00', or 90min.",
        show_default=False,
    ),
]

ACTOR_CHARS_MAX = 200
"""Width of the ledger's column."""


def said(text: str) -> str:
    """A reason as it can be stored: the shell may hand over bytes that are no text."""
    return text.encode("utf-8", "replace").decode()


def since_of(text: str, now: datetime) -> datetime | None:
    """The time that was asked for; None for an empty text. A time of day is the last one."""
    if not text:
        return None
    if match := re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h|d)", text):
        seconds = {"s": 1, "min": 60, "h": 3600, "d": 86_400}[match[2]]
        try:
            return now - timedelta(seconds=float(match[1]) * seconds)
        except OverflowError:
            raise typer.BadParameter(f"--since must lie after the year 0, got {text!r}") from None
    try:
        if len(text) <= len("03:00:00"):
            at = datetime.combine(now.date(), time.fromisoformat(text), now.tzinfo)
            return at if at <= now else at - timedelta(days=1)
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"--since must be a time such as 03:00, '2026-11-26 03:00' or 90min, got {text!r}"
        ) from None
    at = at if at.tzinfo else at.replace(tzinfo=now.tzinfo)
    if at > now:
        raise typer.BadParameter(
            f"--since must lie before now, {now:%Y-%m-%d %H:%M} UTC, got {text!r}; "
            "times without a zone are UTC"
        )
    return at


def who(actor: str) -> str:
    """The given actor, else the user of this process."""
    from rollout.settings import user_name

    return said(actor.strip() or user_name())[:ACTOR_CHARS_MAX]


def caller_of(actor: str) -> "Caller":
    """Who acts by command: whoever may run it may do all of it, under this name."""
    from rollout.control.access import Caller, Role

    return Caller(who(actor), Role.ADMIN)


def one_or_all(name: str | None, every: bool) -> None:
    """Refuse both and neither."""
    if (name is None) is not every:
        raise typer.BadParameter("give either NAME or --all")
