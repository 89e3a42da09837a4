"""How rehearsals are shown: a timeline of decisions, and tables of policies beside peers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import isinf
from typing import TYPE_CHECKING, Any

from rollout.cli.output import listing, percent, say, show, show_json

if TYPE_CHECKING:
    from rollout.rehearsal.exposed import Exposed
    from rollout.rehearsal.pilots import Row
    from rollout.rehearsal.replay import Compared, Replayed

NEVER = "-"


def days_since(start: datetime, at: datetime, day_s: float) -> float:
    """Days of the policy from the trial's start."""
    return (at - start).total_seconds() / day_s


def span_text(span: timedelta) -> str:
    """A span as people say it: its two largest units."""
    seconds = max(0, round(span.total_seconds()))
    parts: list[str] = []
    for name, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def timeline(replayed: "Replayed", start: datetime, day_s: float) -> list[dict[str, Any]]:
    """Changes by hand and decisions of the controller, oldest first."""
    done = replayed.done
    rows: list[dict[str, Any]] = [
        {"at": one.at, "action": str(one.event), "scope_bp": one.after.scope_bp, "why": one.reason}
        for one in done.changes
        if one.actor != "controller"
    ]
    for made in done.decisions:
        scopes = [one.after.scope_bp for one in done.changes if one.at <= made.at]
        row = {"at": made.at, "action": made.action, "scope_bp": scopes[-1], "why": made.sentence}
        rows.append(row)
    if replayed.worse_at is not None and replayed.worse_at < done.until:
        scopes = [one.after.scope_bp for one in done.changes if one.at <= replayed.worse_at]
        why = "the injected regression begins"
        rows.append(
            {
                "at": replayed.worse_at,
                "action": "injected",
                "scope_bp": scopes[-1] if scopes else 0,
                "why": why,
            }
        )
    rows.sort(key=lambda row: row["at"])
    return [{"day": round(days_since(start, row["at"], day_s), 4), **row} for row in rows]


def show_replayed(
    replayed: "Replayed", start: datetime, day_s: float, heading: Sequence[str], as_json: bool
) -> None:
    """Show what happened in one rehearsal."""
    rows = timeline(replayed, start, day_s)
    done = replayed.done
    if as_json:
        show_json(
            {
                "about": list(heading),
                "timeline": rows,
                "stage": str(done.state.stage),
                "scope_bp": done.state.scope_bp,
                "scope_bp_top": done.scope_bp_top,
                "until": done.until,
                "injected_at": replayed.worse_at,
                "reverted_at": done.reverted_at,
                "false_revert": replayed.false_revert,
                "detection_s": None
                if replayed.detected_after is None
                else replayed.detected_after.total_seconds(),
                "exposed": None if replayed.exposed is None else replayed.exposed._asdict(),
                "errors": done.errors,
            }
        )
        return
    for line in heading:
        say(line)
    say("")
    cells = [
        (
            f"{row['day']:.2f}",
            f"{row['at']:%Y-%m-%d %H:%M:%S}",
            row["action"],
            percent(row["scope_bp"]),
            row["why"],
        )
        for row in rows
    ]
    show(listing(("day", "UTC", "what", "scope", "why"), cells, whole=4))
    say("")
    for line in summary(replayed, start, day_s):
        say(line)


def summary(replayed: "Replayed", start: datetime, day_s: float) -> list[str]:
    """How it ended, in sentences."""
    done = replayed.done
    until = days_since(start, done.until, day_s)
    lines = [f"day {until:.2f}: stage {done.state.stage}, scope {percent(done.state.scope_bp)}"]
    if replayed.false_revert:
        lines.append("reverted though nothing was injected by then: a false revert, or harm in it")
    if replayed.exposed is not None:
        lines.append(_reached(replayed, replayed.exposed))
    elif replayed.worse_at is not None and not replayed.false_revert:
        lines.append("the rehearsal ended before the regression began")
    return [*lines, *(f"not taken in: {said}" for said in done.errors)]


def _reached(replayed: "Replayed", exposed: "Exposed") -> str:
    jobs = (
        f"{exposed.seen:,} concurrent jobs were exposed, {exposed.failed:,} of them failed there, "
        f"{exposed.in_flight:,} more were in flight"
    )
    if replayed.detected_after is None:
        return f"the regression was not reverted: {jobs} at the end"
    return f"reverted {span_text(replayed.detected_after)} after the regression began: {jobs}"


def show_compared(
    rows: Sequence["Compared"],
    start: datetime,
    day_s: float,
    heading: Sequence[str],
    injected: bool,
    as_json: bool,
) -> None:
    """Show policies and peers side by side."""
    if as_json:
        show_json({"about": list(heading), "rows": [_compared(one) for one in rows]})
        return
    for line in heading:
        say(line)
    say("")

    def day(at: datetime | None) -> str:
        return NEVER if at is None else f"day {days_since(start, at, day_s):.2f}"

    columns = ["who", "came to", "reverted"]
    cells: list[list[str]] = []
    for one in rows:
        cells.append([one.who, percent(one.scope_bp), day(one.reverted_at)])
        if injected:
            exposed = "over before" if one.exposed is None else f"{one.exposed.seen:,}"
            cells[-1] += [day(one.hurt_reverted_at), exposed]
    if injected:
        columns += ["with regression", "exposed"]
    show(listing(columns, cells, whole=len(columns)))
    said = [f"{one.who}: {one.why}" for one in rows if one.why]
    if said:
        say("")
    for line in said:
        say(line)


def _compared(one: "Compared") -> dict[str, Any]:
    return {
        "who": one.who,
        "scope_bp": one.scope_bp,
        "reverted_at": one.reverted_at,
        "why": one.why,
        "with_regression": {
            "reverted_at": one.hurt_reverted_at,
            "exposed": None if one.exposed is None else one.exposed._asdict(),
        },
    }


def show_pilots(rows: Sequence["Row"], heading: Sequence[str], as_json: bool) -> None:
    """Show what every rule did to many pilots."""
    if as_json:
        values = [
            {
                "who": one.who,
                "case": one.case,
                "observed": {at: None if isinf(x) else x for at, x in one.observed.items()},
            }
            for one in rows
        ]
        show_json({"about": list(heading), "rows": values})
        return
    for line in heading:
        say(line)
    say("")
    scopes = list(rows[0].observed)
    cells = [(one.who, one.case, *(_number(one.observed[at]) for at in scopes)) for one in rows]
    show(listing(("who", "case", *scopes), cells, whole=0))


def _number(value: float) -> str:
    """Infinity is a median of pilots of which most were never reverted."""
    return "never" if isinf(value) else f"{value:.4g}"
