"""The report of a game day, as Markdown and as one HTML page; pure text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from rollout.drills.expectation import Line as Expected
from rollout.drills.expectation import Met, Scene, lines_of, named
from rollout.drills.gameday import GameDay, Played
from rollout.drills.score import Score
from rollout.drills.timeline import Line, timeline

EXPECTED_HEAD = ("no", "drill", "what was broken", "expected", "what came", "margin")
HEAD = ("drill", "path", "result", "detection s", "recovery s", "hurt", "lost", "twice")
READING = (
    "In each picture bars are the jobs that finished in a window: green as usual, amber those that"
    " the drill moved and that finished on legacy, red those that failed otherwise; the line is the"
    " time within which 95 of 100 jobs were done; the fault was in force in the shaded span."
)
STYLE = (
    "body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left}"
    "td.missed{background:#fde2e1}td.passed{background:#e3f3e2}"
    "td.unknown,td.refused{background:#fdf1d8}svg{max-width:100%;height:auto}"
    "@media(max-width:45em){body{margin:1em auto}th{display:none}tr,td{display:block}"
    "tr{border:1px solid #ccc;margin-bottom:1em}td{border:0}"
    "td::before{content:attr(data-is) ': ';font-weight:bold}"
    "div{overflow-x:auto}svg{max-width:none}}"
)


@dataclass(frozen=True, slots=True)
class Report:
    """Files of a report by name, whether nothing was lost or done twice, and what was played."""

    files: Mapping[str, str]
    clean: bool
    played: tuple[Played, ...] = ()


def make_report(
    day: GameDay,
    played: Sequence[Played],
    journals: Mapping[str, Sequence[Line]],
    began: datetime,
    ended: datetime,
    scenes: Sequence[Scene] = (),
    actor: str = "",
) -> Report:
    """Write the report: `gameday.md`, `gameday.html` and an SVG for each drill on each path.

    Args:
        journals: Lines of each drill, by drill id.
        scenes: Where each sub-pipeline stood when the day began.
        actor: Who played it.
    """
    scores = [(one, score) for one in played for score in one.scores]
    pictures = {
        _file(number, score): timeline(
            f"{one.drill.name} ({one.drill.fault}, {score.path})", journals[score.drill_id]
        )
        for number, (one, score) in enumerate(scores, 1)
        if journals.get(score.drill_id)
    }
    clean = not any(score.jobs_lost or score.effects_twice for _, score in scores)
    lead = _lead(day, played, began, ended, clean)
    lead[1:1] = [f"Played by {actor or 'somebody unknown'}.", *(one.sentence for one in scenes)]
    files = {
        "gameday.md": _markdown(day, lead, played, scores, pictures),
        "gameday.html": _html(day, lead, played, scores, pictures),
        **pictures,
    }
    return Report(files, clean, tuple(played))


def _file(number: int, score: Score) -> str:
    return f"{number:02}-{score.path}.svg"


def _lead(
    day: GameDay, played: Sequence[Played], began: datetime, ended: datetime, clean: bool
) -> list[str]:
    ran = [one for one in played if one.scores]
    lines = [
        f"{began:%Y-%m-%d %H:%M:%S} to {ended:%H:%M:%S} UTC, {len(ran)} of {len(day.drills)} drills"
        " were run.",
        "No job was lost and no effect happened twice."
        if clean
        else "JOBS WERE LOST OR EFFECTS HAPPENED TWICE; see the table.",
    ]
    counts = Counter(line.met for line in lines_of(day, played))
    came = ", ".join(f"{counts[word]} {word}" for word in Met if counts[word])
    lines.append(f"Of {len(day.drills)} drills: {came}.")
    return lines


def _heading(played: Sequence[Played], one: Played, score: Score) -> str:
    """The drill by the number that it has in the table, and the path."""
    number = next(place for place, other in enumerate(played, 1) if other is one)
    return f"{number}. {one.drill.name}: {named(score.path)}"


def _row(one: Played, score: Score) -> tuple[str, ...]:
    return (
        one.drill.name,
        str(score.path),
        str(score.result),
        _number(score.detection_s),
        _number(score.recovery_s),
        str(score.jobs_hurt),
        str(score.jobs_lost),
        str(score.effects_twice),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _markdown(
    day: GameDay,
    lead: Sequence[str],
    played: Sequence[Played],
    scores: Sequence[tuple[Played, Score]],
    pictures: Mapping[str, str],
) -> str:
    expected = [_cells(line) for line in lines_of(day, played)]
    parts = [f"# {_plain(day.title)}", *lead, _table([EXPECTED_HEAD, *expected])]
    parts += ["Figures:", _table([HEAD, *(_row(one, score) for one, score in scores)]), READING]
    for number, (one, score) in enumerate(scores, 1):
        parts.append(f"## {_plain(_heading(played, one, score))}")
        parts.append(_said(one, score))
        if _file(number, score) in pictures:
            parts.append(f"![timeline]({_file(number, score)})")
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(map(_plain, line))} |" for line in lines)


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")


def _said(one: Played, score: Score) -> str:
    drill = one.drill
    more = ", ".join(f"{name} {value}" for name, value in score.more.items())
    return (
        f"Fault {drill.fault} for at most {drill.duration_s:g} s, at most"
        f" {drill.blast_radius_jobs} jobs. {score.sentence}" + (f" ({more})" if more else "")
    )


def _html(
    day: GameDay,
    lead: Sequence[str],
    played: Sequence[Played],
    scores: Sequence[tuple[Played, Score]],
    pictures: Mapping[str, str],
) -> str:
    cells = ["".join(f"<th>{escape(cell)}</th>" for cell in EXPECTED_HEAD)]
    for line in lines_of(day, played):
        mark = f' class="{line.met.name.lower()}"'
        row = [
            f'<td data-is="{head}">{escape(cell)}</td>'
            for head, cell in zip(EXPECTED_HEAD, _cells(line)[:-1], strict=False)
        ]
        last = f'<td{mark} data-is="{EXPECTED_HEAD[-1]}">{escape(line.met)}</td>'
        cells.append("".join([*row, last]))
    parts = [f"<p>{escape(line)}</p>" for line in lead]
    parts.append(f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>")
    parts.append(f"<p>{escape(READING)}</p>")
    for number, (one, score) in enumerate(scores, 1):
        parts.append(f"<h2>{escape(_heading(played, one, score))}</h2>")
        parts.append(f"<p>{escape(score.sentence)}</p>" if not score.more else "")
        parts.append(f"<div>{pictures.get(_file(number, score), '')}</div>")
    title = escape(day.title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n" + "\n".join(parts) + "\n"
        "</body></html>\n"
    )


def _cells(line: Expected) -> tuple[str, ...]:
    return (str(line.number), line.drill, line.done, line.expected, line.came, str(line.met))
