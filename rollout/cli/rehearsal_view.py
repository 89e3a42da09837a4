"""How rehearsals look to people: a timeline of decisions, and tables of policies beside peers."""

from math import isinf
from typing import TYPE_CHECKING

from rollout.cli.output import listing, percent, say, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout.desk.rehearsals import ComparisonPage, PilotsPage, RehearsalPage


def show_replayed(found: "RehearsalPage") -> None:
    """What happened in one rehearsal."""
    _heading(found.about)
    cells = [
        (
            f"{row.day:.2f}",
            f"{row.at:%Y-%m-%d %H:%M:%S}",
            row.action,
            percent(row.scope_bp),
            row.why,
        )
        for row in found.timeline
    ]
    show(listing(("day", "UTC", "what", "scope", "why"), cells, whole=4))
    say("")
    for line in found.summary:
        say(line)


def show_compared(found: "ComparisonPage") -> None:
    """Policies and peers side by side."""
    _heading(found.about)
    columns = ["who", "came to", "reverted"]
    cells: list[list[str]] = []
    for one in found.rows:
        cells.append([one.who, percent(one.scope_bp), found.day_of(one.reverted_at)])
        if found.injected:
            exposed = "over before" if one.exposed is None else f"{one.exposed.seen:,}"
            cells[-1] += [found.day_of(one.hurt_reverted_at), exposed]
    if found.injected:
        columns += ["with regression", "exposed"]
    show(listing(columns, cells, whole=len(columns)))
    said = [f"{one.who}: {one.why}" for one in found.rows if one.why]
    if said:
        say("")
    for line in said:
        say(line)


def show_pilots(found: "PilotsPage") -> None:
    """What every rule did to many pilots."""
    _heading(found.about)
    scopes = list(found.rows[0].observed)
    cells = [
        (one.who, one.case, *(_number(one.observed[at]) for at in scopes)) for one in found.rows
    ]
    show(listing(("who", "case", *scopes), cells, whole=0))


def _heading(lines: "Sequence[str]") -> None:
    for line in lines:
        say(line)
    say("")


def _number(value: float) -> str:
    """Infinity is a median of pilots of which most were never reverted."""
    return "never" if isinf(value) else f"{value:.4g}"
