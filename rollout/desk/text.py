"""How the desk writes times, spans and shares in its sentences."""

from collections.abc import Sequence
from datetime import datetime, timedelta


def at_text(at: datetime) -> str:
    """A time as people compare it with their logs."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def percent(scope_bp: int) -> str:
    """A share as people say it."""
    return f"{scope_bp / 100:g} %"


def span_text(span: timedelta) -> str:
    """A span as people say it: its largest unit and the one below."""
    rest = max(0, round(span.total_seconds()))
    counts: list[tuple[int, str]] = []
    for name, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count or counts or name == "s":
            counts.append((count, name))
    (first, name), *below = counts
    parts = [f"{first} {name}", *(f"{count} {name}" for count, name in below[:1] if count)]
    return " ".join(parts)


def some(words: Sequence[str], most: int = 10, between: str = ", ") -> str:
    """The first of many, and how many there are beside them: a screen holds no thousand names."""
    more = len(words) - most
    named = between.join(words[:most])
    return f"{named} and {more} more" if more > 0 else named


def plain(value: object) -> str:
    """Text without control characters, except line ends; a tab is a space."""
    return "".join(
        char if char.isprintable() or char == "\n" else repr(char)[1:-1]
        for char in str(value).replace("\t", " ")
    )
