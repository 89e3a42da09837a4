"""How rehearsals look to people: a timeline of decisions, and tables of policies beside peers."""

from math import isinf
from typing import TYPE_CHECKING

from rollout.cli.output import listing, percent, say, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout.desk.rehearsals import ComparisonPage, PilotsPage, RehearsalPage


def show_replayed(page: "RehearsalPage") -> None:
    """What happened in one rehearsal."""
    _heading(page.about)
    cells = [
        (
            f"{row.day:.2f}",
            f"{row.at:%Y-%m-%d %H:%M:%S}",
            row.action,
            percent(row.scope_bp),
            row.why,
        )
        for row in page.timeline
    ]
    show(listing(("day", "UTC", "what", "scope", "why"), cells, whole=4))
    say("")
    for line in page.summary:
        say(line)


def show_compared(page: "ComparisonPage") -> None:
    """Policies and peers side by side."""
    _heading(page.about)
    columns = ["who", "came to", "reverted"]
    cells: list[list[str]] = []
    for one in page.rows:
        cells.append([one.who, percent(one.scope_bp), page.day_of(one.reverted_at)])
        if page.injected:
            exposed = "over before" if one.exposed is None else f"{one.exposed.seen:,}"
            cells[-1] += [page.day_of(one.hurt_reverted_at), exposed]
    if page.injected:
        columns += ["with regression", "exposed"]
    show(listing(columns, cells, whole=len(columns)))
    sentences = [f"{one.who}: {one.why}" for one in page.rows if one.why]
    if sentences:
        say("")
    for line in sentences:
        say(line)


def show_pilots(page: "PilotsPage") -> None:
    """What every rule did to many pilots."""
    _heading(page.about)
    scopes = list(page.rows[0].observed)
    cells = [
        (one.who, one.case, *(_number(one.observed[at]) for at in scopes)) for one in page.rows
    ]
    show(listing(("who", "case", *scopes), cells, whole=0))


def _heading(lines: "Sequence[str]") -> None:
    for line in lines:
        say(line)
    say("")


def _number(value: float) -> str:
    """Infinity is a median of pilots of which most were never reverted."""
    from rollout.figures import figures_text

    return "never" if isinf(value) else figures_text(value, 4)
