"""`why`, `decision`, `replay`: the pending decision, a past one, and a past one made again."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from rollout.cli.evidence_view import findings_of, notes_of, page, stands, statistics_of
from rollout.cli.exit_codes import ExitCode
from rollout.cli.options import AsJson, Name
from rollout.cli.output import at_text, facts, plain, say, show, show_json
from rollout.cli.session import opened
from rollout.cli.why_view import as_values, render, summary
from rollout.errors import UnreadableDecision

if TYPE_CHECKING:
    from rollout.pilot.ports import DecisionRecord

DecisionId = Annotated[
    int, typer.Argument(metavar="ID", help="Number of the decision; `history` lists them.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (why, decision, replay):
        app.command()(command)


def why(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Say what the controller would decide now, why, and what the next step takes."""
    with opened(ctx, servers="") as runtime:
        found = runtime.explanations.why(name)
    if as_json:
        show_json(as_values(found))
    else:
        show(render(found))


def decision(ctx: typer.Context, decision_id: DecisionId, as_json: AsJson = False) -> None:
    """Show a past decision with the evidence it was made on."""
    with opened(ctx, servers="") as runtime:
        record = runtime.ledger.decision(decision_id)
    if as_json:
        stored = {"inputs": _stored(record.inputs), "answer": _stored(record.answer)}
        show_json({**summary(record), **stored})
    else:
        show(_page_of(record))


def replay(ctx: typer.Context, decision_id: DecisionId, as_json: AsJson = False) -> None:
    """Make a past decision again from what it was made on; it must agree."""
    from rollout.pilot.replay import replay as again

    with opened(ctx, servers="") as runtime:
        made = again(runtime.ledger.decision(decision_id))
    record = made.record
    if as_json:
        show_json(
            {
                **summary(record),
                "agrees": made.agrees,
                "differences": [
                    {"where": one.where, "decided": one.decided, "replayed": one.replayed}
                    for one in made.differences
                ],
            }
        )
    elif made.agrees:
        said = f"{record.action} {record.name}, {record.sentence}"
        say(f"decision {decision_id} agrees: made again from its inputs it is {said}")
    else:
        say(
            f"decision {decision_id} DISAGREES: made again from its inputs it is another",
            "bold red",
        )
        rows = [(one.where, f"{one.decided} -> {one.replayed}") for one in made.differences]
        show(facts(rows))
    if not made.agrees:
        raise typer.Exit(ExitCode.FOUND)


def _page_of(record: "DecisionRecord") -> RenderableType:
    from rollout.pilot.replay import evidence_of

    title = Text.assemble(
        (f"decision {record.decision_id}", "bold"),
        f" on {plain(record.name)}: {record.action}: {plain(record.sentence)}",
    )
    rows = [("made", f"{at_text(record.at)} on revision {record.revision}, window {record.window}")]
    try:
        found = evidence_of(record)
    except UnreadableDecision as error:
        rows.append(("evidence", f"{error.problem}; --json shows what is stored"))
        return page([title, facts(rows)])
    if found.seen is not None:
        rows.append(("stood", stands(found.seen)))
    rows += [("because", one) for one in found.reasons]
    rows.append(("check", f"`rollout replay {record.decision_id}` makes it again"))
    notes = [] if found.seen is None else notes_of(found.seen)
    return page(
        [title, facts(rows)],
        findings_of(found.findings),
        facts(notes) if notes else None,
        statistics_of(found.findings),
    )


def _stored(text: str) -> Any:
    """Stored JSON; as it is when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text
