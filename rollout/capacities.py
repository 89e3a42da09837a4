"""How much there is of each resource: the tables `[resource.NAME]` of `rollout.toml`.

    [resource.warehouse]
    capacity = 4

Read where jobs are submitted and run, so it loads no policy.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from rollout.errors import WrongSettings
from rollout.settings import CONFIG_FILE, RESOURCE_TABLE, read_resource_tables

_FORM = f"write [{RESOURCE_TABLE}.NAME] with capacity = 4, say: how many jobs may use it at once"


def read_capacities() -> dict[str, int]:
    """Read the capacities in force, by resource; none without the file or its tables.

    Raises:
        WrongSettings: The file is not TOML, or a line of these tables cannot be right.
    """
    return parse_capacities(read_resource_tables())


def parse_capacities(tables: Any) -> dict[str, int]:
    """Read the tables as TOML has them. Raises WrongSettings for the first line that is wrong."""
    if not isinstance(tables, Mapping):
        raise _wrong(RESOURCE_TABLE, f"must hold a table for each resource, got {tables!r:.80}")
    return {name: _capacity(f"{RESOURCE_TABLE}.{name}", table) for name, table in tables.items()}


def _capacity(place: str, table: Any) -> int:
    if not isinstance(table, Mapping):
        raise _wrong(place, f"must be a table, got {table!r:.80}")
    unknown = sorted(set(table) - {"capacity"})
    if unknown:
        close = get_close_matches(unknown[0], ["capacity"], n=1)
        guess = f", did you mean {close[0]!r}?" if close else ""
        raise _wrong(place, f"has no key {unknown[0]!r}{guess}")
    if "capacity" not in table:
        raise _wrong(place, "capacity is missing")
    capacity = table["capacity"]
    if not isinstance(capacity, int) or isinstance(capacity, bool) or capacity < 1:
        raise _wrong(place, f"capacity must be a whole number of at least 1, got {capacity!r:.80}")
    return capacity


def _wrong(place: str, what: str) -> WrongSettings:
    return WrongSettings(f"{CONFIG_FILE} [{place}] {what}", _FORM)
