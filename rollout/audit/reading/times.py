"""Times as files write them, in seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rollout.audit.job_log import NAN

_MICROSECONDS_FROM = 1e14
_MILLISECONDS_FROM = 1e11
"""Seconds since 1970 reach 1e11 in the year 5138: a larger number has a smaller unit."""


def seconds_of(value: Any) -> float:
    """A time in seconds; NaN for none. Numbers may be s, ms, us or ns since 1970.

    Raises:
        ValueError: It is neither a number nor ISO 8601.
    """
    if value is None or value == "":
        return NAN
    if isinstance(value, str):
        if value[4:5] == "-" and value[-6:-5] == "+":  # the usual spelling, and the quickest
            return datetime.fromisoformat(value).timestamp()
        text = value.strip()
        if text[:1].isdigit() and "-" in text[1:]:
            return _iso(text)
        if not text or text.lower() in ("null", "none", "nan", "nat"):
            return NAN
        value = float(text)
    number = float(value)
    if number >= _MICROSECONDS_FROM * 1e3:
        return number / 1e9
    if number >= _MICROSECONDS_FROM:
        return number / 1e6
    return number / 1e3 if number >= _MILLISECONDS_FROM else number


def _iso(text: str) -> float:
    """ISO 8601; without a zone it is UTC."""
    if text.endswith(" UTC"):
        text = text[:-4]
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def number_of(value: Any) -> float:
    """A number; NaN for none. Raises ValueError for other texts."""
    if value is None or value == "":
        return NAN
    return float(value)
