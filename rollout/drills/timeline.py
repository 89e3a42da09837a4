"""A drill's journal as a picture: windows, fault, detection, recovery; SVG made of a few shapes.

Drawn by hand: a hundred lines of rectangles and one polyline need no plotting library in a
package that runs beside production workers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

WIDTH, HEIGHT = 720, 224
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 68, 28
_ROWS_Y = (28, 40, 52, 64)
"""One for each word that a journal can have: none covers another."""
_TITLE_CHARS = 72
"""What fits left of the legend of the line."""
_CHAR_PX = 6.2
_FAULT, _FAILED, _MOVED, _FINE, _TIME = "#7d5ba6", "#c0392b", "#e5a93d", "#7fb77e", "#2c5d8f"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a journal."""

    at: datetime
    what: str
    facts: Mapping[str, Any]


def timeline(title: str, lines: Sequence[Line]) -> str:
    """Draw one drill on one path.

    Bars are windows: finished jobs, in amber those that the drill moved to legacy and that finished
    there, in red those that failed otherwise. The line is their p95 cycle time. The
    shaded span is the fault; marks say when the path was seen to fail and when it was healed.
    """
    lines = sorted(lines, key=lambda line: line.at)
    began, ended = lines[0].at, lines[-1].at
    span_s = max((ended - began).total_seconds(), 1.0)

    def x(at: datetime) -> float:
        share = (at - began).total_seconds() / span_s
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    windows = [line for line in lines if line.what == "window"]
    shapes = [
        *_bars(windows, moved_finished(lines), x, began),
        _fault(lines, x, ended),
        _times(windows, x),
        *_marks(lines, x),
        *_axis(span_s),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
        f'<text x="{_LEFT}" y="14" font-size="13">{escape(_short(title))}</text>'
        f"{''.join(shapes)}</svg>\n"
    )


def _short(title: str) -> str:
    return title if len(title) <= _TITLE_CHARS else title[: _TITLE_CHARS - 1] + "…"


def moved_finished(lines: Sequence[Line]) -> list[datetime]:
    """When jobs that the drill had moved to legacy were committed: no failure for anybody."""
    moved = {line.facts.get("job") for line in lines if line.what == "job handed to legacy"}
    return [
        line.at for line in lines if line.what == "job committed" and line.facts.get("job") in moved
    ]


def _fault(lines: Sequence[Line], x: Any, ended: datetime) -> str:
    """A veil over the bars: under them it is seen only where no job finished."""
    on = [line.at for line in lines if line.what in ("fault on", "killed")]
    off = [line.at for line in lines if line.what in ("fault off", "rearmed")]
    if not on:
        return ""
    left, right = x(on[0]), x(off[0] if off else ended)
    return (
        f'<rect x="{left}" y="{_TOP}" width="{max(right - left, 1):.1f}"'
        f' height="{HEIGHT - _TOP - _BOTTOM}" fill="{_FAULT}" fill-opacity="0.18"/>'
    )


def _bars(
    windows: Sequence[Line], moved_at: Sequence[datetime], x: Any, began: datetime
) -> list[str]:
    most = max([line.facts["jobs"] for line in windows], default=0) or 1
    high = HEIGHT - _TOP - _BOTTOM
    shapes: list[str] = []
    left, since = x(began), began
    for line in windows:
        right = x(line.at)
        base = HEIGHT - _BOTTOM
        failed, jobs_in_all = line.facts["failed"], line.facts["jobs"]
        moved = min(failed, sum(since < at <= line.at for at in moved_at))
        parts = ((failed - moved, _FAILED), (moved, _MOVED), (jobs_in_all - failed, _FINE))
        since = line.at
        for jobs, color in parts:
            tall = round(high * 0.8 * jobs / most, 1)
            base -= tall
            if jobs:
                wide = max(right - left - 2, 1)
                shapes.append(
                    f'<rect x="{left + 1:.1f}" y="{base:.1f}" width="{wide:.1f}"'
                    f' height="{tall}" fill="{color}"/>'
                )
        left = right
    for row, word in enumerate((str(most), "jobs" if most > 1 else "job")):
        shapes.append(
            f'<text x="{_LEFT - 6}" y="{_TOP + 10 + 12 * row}" text-anchor="end">{word}</text>'
        )
    return shapes


def _times(windows: Sequence[Line], x: Any) -> str:
    known = [(line.at, line.facts["p95_s"]) for line in windows if line.facts["p95_s"] is not None]
    if not known:
        return ""
    most = max(value for _, value in known) or 1.0
    high = HEIGHT - _TOP - _BOTTOM
    points = " ".join(
        f"{x(at)},{HEIGHT - _BOTTOM - high * 0.8 * value / most:.1f}" for at, value in known
    )
    return (
        f'<polyline points="{points}" fill="none" stroke="{_TIME}" stroke-width="1.5"/>'
        f'<text x="{WIDTH - _RIGHT}" y="14" fill="{_TIME}" text-anchor="end">'
        f"95 % done in up to {most:.1f} s</text>"
    )


_MARKED = {
    "left the band": "not as usual",
    "back in the band": "healed",
    "last hurt job finished": "last job done",
    "aborted": "aborted",
}


def _marks(lines: Sequence[Line], x: Any) -> list[str]:
    """A dashed line with a word above it, in the first row in which no other word is in its way.

    Words are drawn over all lines, on white, so that no line of another word strikes one through.
    """
    dashes: list[str] = []
    words: list[str] = []
    taken_to = [0.0] * len(_ROWS_Y)
    for line in lines:
        if line.what not in _MARKED:
            continue
        at, word = x(line.at), _MARKED[line.what]
        half = len(word) * _CHAR_PX / 2
        middle = min(max(at, half), WIDTH - half)
        free = [row for row, to in enumerate(taken_to) if to < middle - half]
        row = free[0] if free else taken_to.index(min(taken_to))
        taken_to[row] = middle + half
        dashes.append(
            f'<line x1="{at}" x2="{at}" y1="{_ROWS_Y[row] + 2}" y2="{HEIGHT - _BOTTOM}"'
            ' stroke="black" stroke-dasharray="3 3"/>'
        )
        words.append(
            f'<text x="{middle:.1f}" y="{_ROWS_Y[row]}" text-anchor="middle" stroke="white"'
            f' stroke-width="4" paint-order="stroke">{word}</text>'
        )
    return [*dashes, *words]


def _axis(span_s: float) -> list[str]:
    base = HEIGHT - _BOTTOM
    shapes = [f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}" stroke="black"/>']
    for part in range(5):
        at = _LEFT + part / 4 * (WIDTH - _LEFT - _RIGHT)
        shapes.append(
            f'<text x="{at:.1f}" y="{base + 16}" text-anchor="{"end" if part == 4 else "middle"}">'
            f"{span_s * part / 4:.{0 if span_s >= 20 else 1}f} s"
            "</text>"
        )
    return shapes
