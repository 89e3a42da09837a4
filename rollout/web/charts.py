"""Charts as SVG text: no script, no style, every line named by a class and told in words.

The table under a chart has the same numbers. Times run from left to right on one scale for both
paths, so that old and new can be compared at a glance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from rollout.desk.text import at_text, plain
from rollout.desk.trend import Mark, Point, Trend
from rollout.routing.decision import JobPath

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 26, 30

_SHAPES = {"kill": "■", "revert": "▼", "step": "▲", "drill": "✕", "change": "·"}


@dataclass(frozen=True, slots=True)
class _Plane:
    """Where time and value lie on the picture."""

    since: datetime
    until: datetime
    top: float

    def x(self, at: datetime) -> float:
        """Pixels from the left."""
        share = (at - self.since) / (self.until - self.since)
        return round(LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        share = min(1.0, value / self.top)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def cycle_times(trend: Trend) -> Markup:
    """Median (line) and 95th percentile (dots) of both paths."""
    values = [one.tail_s for one in trend.points if one.tail_s is not None]
    top = _round_up(max(values, default=0.0) or 0.001)
    return _chart(
        trend, "cycle-time", "Cycle time, legacy and concurrent path", top, _seconds,
        lambda one: one.median_s, lambda one: one.tail_s,
    )  # fmt: skip


def error_rates(trend: Trend) -> Markup:
    """Share of finished jobs that each path failed."""
    values = [one.error_rate or 0.0 for one in trend.points]
    top = _round_up(max(max(values, default=0.0), 0.01))
    return _chart(
        trend, "error-rate", "Error rate, legacy and concurrent path", min(1.0, top), _share,
        lambda one: one.error_rate, None,
    )  # fmt: skip


def _chart(
    trend: Trend,
    name: str,
    title: str,
    top: float,
    label: Callable[[float], str],
    line: Callable[[Point], float | None],
    dots: Callable[[Point], float | None] | None,
) -> Markup:
    plane = _Plane(trend.since, trend.until, top)
    span = f"{at_text(trend.since)} to {at_text(trend.until)}"
    parts = [
        Markup(
            '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-t {}-d">'
            '<title id="{}-t">{}</title><desc id="{}-d">{}; the table below has the numbers.</desc>'
        ).format(WIDTH, HEIGHT, name, name, name, title, name, span)
    ]
    parts += _grid(plane, label)
    parts += _marks(plane, trend.marks)
    for path in JobPath:
        points = trend.of(path)
        if dots is not None:
            parts += _dots(plane, path, points, dots)
        parts += _lines(plane, path, points, line)
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def _grid(plane: _Plane, label: Callable[[float], str]) -> list[Markup]:
    parts = []
    for step in range(5):
        value = plane.top * step / 4
        y = plane.y(value)
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                LEFT, WIDTH - RIGHT, y, y
            )
        )
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>').format(
                LEFT - 8, y + 4, label(value)
            )
        )
    span_s = (plane.until - plane.since).total_seconds()
    long, wide = span_s > 2 * 86_400, span_s > 1_200
    for step, anchor in ((0, "start"), (1, "middle"), (2, "middle"), (3, "middle"), (4, "end")):
        at = plane.since + (plane.until - plane.since) * step / 4
        text = f"{at:%d %b}" if long else f"{at:%H:%M}" if wide else f"{at:%H:%M:%S}"
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>').format(
                plane.x(at), HEIGHT - 10, anchor, text
            )
        )
    return parts


def _marks(plane: _Plane, marks: Sequence[Mark]) -> list[Markup]:
    parts = []
    for one in marks:
        x = plane.x(one.at)
        parts.append(
            Markup(
                '<g class="mark {}"><title>{}: {}</title>'
                '<line x1="{}" x2="{}" y1="{}" y2="{}"/>'
                '<text x="{}" y="{}" text-anchor="middle">{}</text></g>'
            ).format(
                one.kind, at_text(one.at), plain(one.sentence)[:300], x, x, TOP - 6,
                HEIGHT - BOTTOM, x, TOP - 10, _SHAPES[one.kind],
            )
        )  # fmt: skip
    return parts


def _lines(
    plane: _Plane, path: JobPath, points: Sequence[Point], value: Callable[[Point], float | None]
) -> list[Markup]:
    """A line through the middles of the spans; a span without jobs breaks it."""
    runs: list[list[str]] = [[]]
    before: Point | None = None
    for one in points:
        height = value(one)
        if height is None:
            continue
        if before is not None and one.begin > before.end + (one.end - one.begin) * 3:
            runs.append([])
        middle = one.begin + (one.end - one.begin) / 2
        runs[-1].append(f"{plane.x(middle)},{plane.y(height)}")
        before = one
    parts = []
    for run in runs:
        if len(run) == 1:
            x, y = run[0].split(",")
            parts.append(
                Markup('<circle class="dot {} lone" cx="{}" cy="{}" r="3"/>').format(path, x, y)
            )
        elif run:
            parts.append(
                Markup('<polyline class="line {}" points="{}"/>').format(path, " ".join(run))
            )
    return parts


def _dots(
    plane: _Plane, path: JobPath, points: Sequence[Point], value: Callable[[Point], float | None]
) -> list[Markup]:
    parts = []
    for one in points:
        height = value(one)
        if height is None:
            continue
        middle = one.begin + (one.end - one.begin) / 2
        parts.append(
            Markup('<circle class="dot {}" cx="{}" cy="{}" r="1.6"/>').format(
                path, plane.x(middle), plane.y(height)
            )
        )
    return parts


def _round_up(value: float) -> float:
    """A number that people read: 1, 2, 4 or 8 times a power of ten, not under the value."""
    power = 1e-6
    while power * 10 < value:
        power *= 10
    return next(power * factor for factor in (1, 2, 4, 8, 10) if power * factor >= value)


def _seconds(value: float) -> str:
    if value == 0:
        return "0"
    if value < 1:
        return f"{value * 1000:.3g} ms"
    if value < 600:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if value < 36_000 else f"{value / 3600:.3g} h"


def _share(value: float) -> str:
    return f"{100 * value:.3g} %"
