"""Arguments and options that several commands share."""

from typing import Annotated

import typer

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

ACTOR_CHARS_MAX = 200
"""Width of the ledger's column."""


def said(text: str) -> str:
    """A reason as it can be stored: the shell may hand over bytes that are no text."""
    return text.encode("utf-8", "replace").decode()


def who(actor: str) -> str:
    """The given actor, else the user of this process."""
    from rollout.settings import user_name

    return said(actor.strip() or user_name())[:ACTOR_CHARS_MAX]


def one_or_all(name: str | None, every: bool) -> None:
    """Refuse both and neither."""
    if (name is None) is not every:
        raise typer.BadParameter("give either NAME or --all")
