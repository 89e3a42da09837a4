"""How seconds, shares and counts are written in sentences."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite


def seconds_text(seconds: float) -> str:
    """Seconds as people say them: two figures that matter, in the unit that fits."""
    if not isfinite(seconds):
        return "unknown"
    if seconds < 0.0005:
        return f"{seconds * 1e6:.0f} µs" if seconds > 0 else "0 s"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.{0 if seconds >= 0.02 else 1}f} ms"
    for unit, length in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.{0 if seconds >= 20 * length else 1}f} {unit}"
    return f"{seconds:.{1 if seconds >= 10 else 2}f} s"


def figures_text(value: float, figures: int = 3) -> str:
    """A number in so many figures that matter: "7,220" and "0.52", and no power of ten.

    Numbers under 0.0001 keep one: their zeros would be counted wrong.
    """
    return f"{float(f'{value:.{figures}g}'):,.15g}"


def count_text(value: float) -> str:
    """A mean count: whole, but for few, where a half is a large share: "4", "0.2", "1,000"."""
    return f"{value:,.0f}" if value >= 10 else figures_text(value, 2)


def share_text(share: float) -> str:
    """A share in percent, with a figure behind the point only when it is small."""
    percent = 100 * share
    if 0 < percent < 0.1:
        return "under 0.1 %"
    return f"{percent:.{1 if abs(percent) < 1 else 0}f} %"


def times_text(factor: float) -> str:
    """A factor: "2.0 times"."""
    return f"{factor:.{0 if factor >= 20 else 1}f} times"


def clock_text(seconds: float) -> str:
    """A time of day."""
    minutes = round(seconds / 60) % (24 * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d} UTC"


def date_text(seconds: float) -> str:
    """A time with its date."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
