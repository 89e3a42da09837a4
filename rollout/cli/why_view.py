"""How the pending decision looks: the most important line first."""

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from rollout.cli.evidence_view import findings_of, page, statistics_of
from rollout.cli.output import facts, plain

if TYPE_CHECKING:
    from rollout.desk.pending import Why

_STYLES = {
    "REVERT": "bold red",
    "REVERTED": "bold red",
    "KILLED": "bold red",
    "ADVANCE": "bold green",
    "GRADUATE": "bold green",
    "A PERSON DECIDES": "bold yellow",
}


def render(why: "Why") -> RenderableType:
    """One page: what is pending, what it takes, what was measured."""
    from rollout.pilot.shown import shown

    word, said = why.headline
    title = Text.assemble((plain(why.pending.state.name), "bold"), ": ")
    if word:
        title.append(word, _STYLES.get(word, "bold")).append(": ")
    title.append(plain(said))
    needs, notes = why.needs, why.notes
    told = {one.metric for one in shown(why.findings)}  # their needs stand beside their bars
    others = [(what, sentence) for what, sentence in needs if what not in told]
    return page(
        [title, facts(why.facts)],
        [Text("before the next step", "bold"), facts(others)] if others else None,
        findings_of(why.findings, needs),
        facts(notes) if notes else None,
        statistics_of(why.findings),
    )
