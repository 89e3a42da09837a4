"""How drills look to people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from rollout.cli.output import listing
from rollout.desk.drills import facts_of

if TYPE_CHECKING:
    from rollout.desk.drills import DrillList
    from rollout.drills.gameday import Played
    from rollout.drills.ports import DrillEvent
    from rollout.drills.score import Score


def event_line(event: "DrillEvent") -> str:
    """One line of a journal, as it is written."""
    return f"{event.at:%H:%M:%S.%f}"[:-3] + f"  {event.what:<24}{facts_of(event)}".rstrip()


def played_table(played: "Sequence[Played]") -> Table:
    """A game day's drills by number, a row per path."""
    columns = ("no", "path", "result", "recovery s", "hurt", "drill")
    rows: list[tuple[object, ...]] = []
    for number, one in enumerate(played, 1):
        if one.refused is not None:
            rows.append((number, "-", "refused", "", "", one.drill.name))
        rows += [
            (
                number, score.path, score.result, seconds(score.recovery_s), score.jobs_hurt,
                one.drill.name,
            )
            for score in one.scores
        ]  # fmt: skip
    return listing(columns, rows, whole=3)


def journal_table(events: "Sequence[DrillEvent]") -> Table:
    """A whole journal."""
    began = events[0].at
    rows = [
        (f"{(event.at - began).total_seconds():9.3f}", event.what, facts_of(event))
        for event in sorted(events, key=lambda event: event.at)
    ]
    return listing(("s", "what", "facts"), rows, whole=2)


def score_table(scores: "Sequence[Score]") -> Table:
    """The figures of one drill, a row per path."""
    columns = ("path", "result", "detection s", "recovery s", "hurt", "lost", "twice")
    rows = [
        (
            score.path, score.result, score.detection_s, seconds(score.recovery_s),
            score.jobs_hurt, score.jobs_lost, score.effects_twice,
        )
        for score in scores
    ]  # fmt: skip
    return listing(columns, rows, whole=2)


def seconds(value: float | None) -> str:
    """A time with a tenth of its precision."""
    return "" if value is None else f"{value:.3f}"


def list_table(page: "DrillList") -> Table:
    """A row per drill; what was broken where comes last, and is folded between words."""
    rows = [
        (
            f"{line.declared.at:%Y-%m-%d %H:%M:%S}", line.declared.drill_id[:12], line.result,
            seconds(line.recovery_s),
            f"{line.declared.facts['fault']} on {line.declared.facts['path']} of "
            f"{line.declared.name}",
        )
        for line in page.lines
    ]  # fmt: skip
    return listing(("UTC", "id", "result", "recovery s", "drill"), rows, whole=4)


def figures_table(figures: Sequence[tuple[str, str]]) -> Table:
    """What one drill declared and what came of it; what has no value is a hyphen."""
    return listing(("what", "is"), figures, whole=1)
