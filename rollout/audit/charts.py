"""Pictures of an audit as SVG: load over time, what more at once gets done, one cycle."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil

from rollout.audit.audit import Series
from rollout.audit.contention import Shape
from rollout.audit.flame import cycle_rows, spans_of
from rollout.audit.measured import Measured
from rollout.figures import date_text, seconds_text

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 226, 56, 30
BARS_MAX = 600
LANES_MAX = 24


def load_chart(series: Series, slots: int, clock: bool) -> str:
    """Runs at once, jobs that wait, and the line of all workers."""
    most = max([*series.running, *series.waiting, float(slots)])
    body = [_area(series.running, most, "running")]
    if series.waiting:
        body.append(_line(series.waiting, most, "waiting"))
    at = _y(slots, most)
    body.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH}" y1="{at:.1f}" y2="{at:.1f}"/>')
    end = series.begins + series.width_s * len(series.running)
    short = not clock or end - series.begins < 600
    froms = date_text(series.begins) if clock else "0 s"
    untils = f"{seconds_text(end - series.begins)} later" if short else date_text(end)
    return _svg("Runs at once and jobs that wait", body, most, froms, untils)


def speed_chart(shape: Shape) -> str:
    """What so many at once get done against how many run; the straight line is nobody slowed."""
    most = ceil(max(point[0] for point in shape.points) * 1.05)
    xs = [LEFT + (WIDTH - LEFT - 8) * level / most for level, _, _ in shape.points]
    dots = [
        f'<circle class="running" cx="{x:.1f}" cy="{_y(speed, most):.1f}" r="4"/>'
        for x, (_, speed, _) in zip(xs, shape.points, strict=True)
    ]
    path = " ".join(
        f"{x:.1f},{_y(speed, most):.1f}" for x, (_, speed, _) in zip(xs, shape.points, strict=True)
    )
    body = [
        f'<line class="limit" x1="{LEFT}" y1="{_y(0, most):.1f}" '
        f'x2="{WIDTH - 8}" y2="{_y(most, most):.1f}"/>',
        f'<polyline class="line-running" points="{path}"/>', *dots,
    ]  # fmt: skip
    return _svg("What so many at once get done", body, most, "0 at once", f"{most:.0f} at once")


def cycle_chart(measured: Measured) -> str:
    """One cycle: a line for each run beside another; waits are pale."""
    spans = [
        one for one in spans_of(measured, cycle_rows(measured)[:BARS_MAX]) if one[0] < LANES_MAX
    ]
    if not spans:
        return ""
    whole = max(end for _, _, end, _, _ in spans) or 1.0
    lanes = max(lane for lane, *_ in spans) + 1
    height, row = lanes * 16 + BOTTOM + 6, 16
    body = []
    for lane, begin, end, name, category in spans:
        x, width = (WIDTH - 2) * begin / whole, max(0.8, (WIDTH - 2) * (end - begin) / whole)
        kind = "run" if category == "run" else "wait"
        title = escape(f"{name}: {category}, {seconds_text(end - begin)}")
        body.append(
            f'<rect class="{kind}" x="{x:.1f}" y="{lane * row + 2}" '
            f'width="{width:.1f}" height="{row - 3}">'
            f"<title>{title}</title></rect>"
        )
        if width > 9 * 7 and kind == "run":
            text = escape(name if len(name) * 7 < width else name[: int(width / 7) - 1] + "…")
            body.append(
                f'<text class="in" x="{x + 4:.1f}" y="{lane * row + row - 5}">{text}</text>'
            )
    foot = height - 8
    body.append(f'<text x="0" y="{foot}">0</text>')
    body.append(f'<text x="{WIDTH}" y="{foot}" text-anchor="end">{seconds_text(whole)}</text>')
    shape = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="One cycle"'
    return f"<svg {shape}>{''.join(body)}</svg>"


def _y(value: float, most: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 10) * (value / most if most else 0.0)


def _points(values: Sequence[float], most: float) -> list[str]:
    step = (WIDTH - LEFT - 8) / max(1, len(values) - 1)
    return [f"{LEFT + at * step:.1f},{_y(value, most):.1f}" for at, value in enumerate(values)]


def _area(values: Sequence[float], most: float, name: str) -> str:
    base = _y(0, most)
    points = " ".join([f"{LEFT},{base:.1f}", *_points(values, most), f"{WIDTH - 8},{base:.1f}"])
    return f'<polygon class="area-{name}" points="{points}"/>'


def _line(values: Sequence[float], most: float, name: str) -> str:
    return f'<polyline class="line-{name}" points="{" ".join(_points(values, most))}"/>'


def _svg(title: str, body: Sequence[str], most: float, froms: str, untils: str) -> str:
    base = _y(0, most)
    axis = (
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - 8}" y1="{base}" y2="{base}"/>'
        f'<text x="{LEFT - 6}" y="{base + 4}" text-anchor="end">0</text>'
        f'<text x="{LEFT - 6}" y="24" text-anchor="end">{most:.3g}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 6}">{escape(froms)}</text>'
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 6}" text-anchor="end">{escape(untils)}</text>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{axis}{''.join(body)}</svg>"
    )
