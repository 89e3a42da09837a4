"""One row of the table: what was observed beside what is accepted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SEED = 20_240_601


@dataclass(frozen=True)
class Row:
    """A measured row.

    Attributes:
        id: As in the method's table.
        configuration: What was simulated.
        observed: Numbers by case.
        accepted: The rule in words.
        ok: Whether every number keeps the rule.
        seconds: How long it took.
    """

    id: str
    configuration: str
    observed: Mapping[str, float]
    accepted: str
    ok: bool
    seconds: float = 0.0

    def render(self) -> str:
        """Give one line of a Markdown table."""
        cells = ", ".join(f"{case}: {number:.4g}" for case, number in self.observed.items())
        ok = "yes" if self.ok else "**no**"
        return f"| {self.id} | {self.configuration} | {cells} | {self.accepted} | {ok} |"


HEADING = "| id | configuration | observed | accepted | ok |\n|---|---|---|---|---|"


def within(observed: Mapping[str, float], ranges: Sequence[tuple[float, float]]) -> bool:
    """Say whether each number lies in its range, in order."""
    numbers = list(observed.values())
    return all(low <= x <= high for x, (low, high) in zip(numbers, ranges, strict=True))


def about(targets: Sequence[float], share: float = 0.15) -> list[tuple[float, float]]:
    """Give the ranges of +-15 % around the targets."""
    return [(target * (1 - share), target * (1 + share)) for target in targets]


def write(
    rows: Sequence[Row],
    peers: Sequence[Mapping[str, object]],
    path: Path,
    others: Sequence[str] | None = None,
) -> None:
    """Write the report: a row per id, and the comparison with peers.

    Args:
        rows: Just measured.
        peers: Just compared; empty keeps what the report has.
        path: Of the report.
        others: All ids in their order, to keep those rows of an earlier run that were not measured
            now, so that the table can be measured in pieces; None writes these rows only.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [
        {
            "id": row.id,
            "configuration": row.configuration,
            "observed": dict(row.observed),
            "accepted": row.accepted,
            "ok": row.ok,
            "seconds": round(row.seconds, 1),
        }
        for row in rows
    ]
    if others is not None and path.exists():
        before = json.loads(path.read_text())
        known = {row["id"]: row for row in (*before["rows"], *listed)}
        listed = [known[row_id] for row_id in others if row_id in known]
        peers = peers or before["peers"]
    report = {"seed": SEED, "rows": listed, "peers": list(peers)}
    path.write_text(json.dumps(report, indent=1) + "\n")
