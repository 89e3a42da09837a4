"""Times that stand before a line of a log in other spellings than ISO 8601.

`26/Nov/2026:17:48:41 +0100` (access logs), `2026/11/26 17:48:41`, `11/26/2026 05:48:41 PM`. A day
and a month in numbers without AM or PM could be either, and `Nov 26` has no year: neither is
guessed.
"""

from __future__ import annotations

import re

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PART = r"(?:[,.](?P<part>\d{1,6}))?"
_ZONE = r"(?: ?(?P<zone>[+-]\d\d:?\d\d))?"
_NAMED_MONTH = re.compile(
    r"(?P<d>\d\d)[/ -](?P<m>[A-Za-z]{3})[/ -](?P<y>\d{4})[: ]"
    rf"(?P<time>\d\d:\d\d:\d\d){_PART}{_ZONE}"
)
_SLASHES = re.compile(
    rf"(?P<y>\d{{4}})/(?P<m>\d\d)/(?P<d>\d\d)[ T](?P<time>\d\d:\d\d:\d\d){_PART}{_ZONE}"
)
_TWELVE_HOURS = re.compile(
    r"(?P<m>\d\d)/(?P<d>\d\d)/(?P<y>\d{4}),? "
    rf"(?P<time>\d\d:\d\d:\d\d){_PART} (?P<half>[AaPp])[Mm]"
)


def iso_line(line: str) -> str | None:
    """The line with its time in ISO 8601 before it; None when no time is known in it."""
    for pattern in (_NAMED_MONTH, _SLASHES, _TWELVE_HOURS):
        if time := pattern.search(line):
            values = time.groupdict()
            month, clock = values["m"].lower(), values["time"]
            if month in _MONTHS:
                month = f"{_MONTHS.index(month) + 1:02d}"
            if half := values.get("half"):
                hour = int(clock[:2]) % 12 + (12 if half in "pP" else 0)
                clock = f"{hour:02d}{clock[2:]}"
            part = f".{values['part']}" if values["part"] else ""
            zone = values.get("zone") or ""
            return f"{values['y']}-{month}-{values['d']} {clock}{part}{zone} {line[time.end() :]}"
    return None
