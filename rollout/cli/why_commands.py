"""`why`, `decision`, `replay`: the pending decision, a past one, and a past one made again."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from rollout.cli.evidence_view import findings_of, page, statistics_of
from rollout.cli.exit_codes import ExitCode
from rollout.cli.options import AsJson, Name
from rollout.cli.output import facts, plain, say, show, show_json
from rollout.cli.session import opened
from rollout.cli.why_view import render

if TYPE_CHECKING:
    from rollout.desk.decisions import DecisionPage

DecisionId = Annotated[
    int, typer.Argument(metavar="ID", help="Number of the decision; `history` lists them.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (why, decision, replay):
        app.command()(command)


def why(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Say what would be decided now, why, and what is missing."""
    with opened(ctx, servers="") as runtime:
        page = runtime.desk.why(name)
    if as_json:
        show_json(page.to_json())
    else:
        show(render(page))


def decision(ctx: typer.Context, decision_id: DecisionId, as_json: AsJson = False) -> None:
    """Show a past decision with the evidence it was made on."""
    with opened(ctx, servers="") as runtime:
        page = runtime.desk.decision(decision_id)
    if as_json:
        show_json(page.to_json())
    else:
        show(_page_of(page))


def replay(ctx: typer.Context, decision_id: DecisionId, as_json: AsJson = False) -> None:
    """Make a past decision again from its inputs; it must agree."""
    with opened(ctx, servers="") as runtime:
        page = runtime.desk.replay(decision_id)
    judged = page.made
    if as_json:
        show_json(page.to_json())
    elif judged.agrees:
        sentence = f"{judged.record.action} {judged.record.name}, {judged.record.sentence}"
        say(f"decision {decision_id} agrees: made again from its inputs it is {sentence}")
    else:
        say(
            f"decision {decision_id} DISAGREES: made again from its inputs it is another",
            "bold red",
        )
        rows = [(one.where, f"{one.decided} -> {one.replayed}") for one in judged.differences]
        show(facts(rows))
    if not judged.agrees:
        raise typer.Exit(ExitCode.FOUND)


def _page_of(found: "DecisionPage") -> RenderableType:
    record = found.record
    title = Text.assemble(
        (f"decision {record.decision_id}", "bold"),
        f" on {plain(record.name)}: {record.action}: {plain(record.sentence)}",
    )
    notes = found.notes
    return page(
        [title, facts(found.facts)],
        findings_of(found.findings),
        facts(notes) if notes else None,
        statistics_of(found.findings),
    )
