"""What a user would pick instead, on the same jobs; see `rollout/rehearsal/peers.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ops.evidence.pilots import DAYS
from ops.evidence.traffic import JOBS_A_DAY
from rollout.rehearsal.pilots import Traffic, compare_pilots


def compare(pilots: int) -> list[dict[str, object]]:
    """Measure every peer at 1, 8 and 50 %: false reverts of a healthy pilot, jobs exposed."""
    traffic = Traffic(jobs_per_day=JOBS_A_DAY, days=DAYS)
    return [
        {
            "peer": row.who,
            "case": row.case,
            "observed": {scope: round(number, 4) for scope, number in row.observed.items()},
        }
        for row in compare_pilots(traffic, pilots)
    ]


def render(rows: Sequence[Mapping[str, object]]) -> str:
    """Give the comparison as a Markdown table."""
    lines = ["| peer | case | 1 / 8 / 50 % |", "|---|---|---|"]
    for line in rows:
        observed = line["observed"]
        assert isinstance(observed, dict)
        numbers = " / ".join(f"{number:.3g}" for number in observed.values())
        lines.append(f"| {line['peer']} | {line['case']} | {numbers} |")
    return "\n".join(lines)
