"""Corrupt records with payload and reason, in a file, up to caps after which the run stops.

They are written and counted when their batch lands, in order, so that the caps say the same thing
on every run, and a run that goes on from receipts finds no letter of a batch that did not land.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rollout.execution.errors import TooManyDeadLetters
from rollout.execution.journal import Journal


@dataclass(frozen=True)
class Rejected:
    """One corrupt record.

    Attributes:
        position: Of the record in the source, from 0; None behind a stage that gave more or fewer
            records than it took.
        stage: That could not take it.
        reason: What was wrong.
        payload: The record as that stage got it.
    """

    position: int | None
    stage: str
    reason: str
    payload: Any


@dataclass(frozen=True)
class Caps:
    """How much may be corrupt before the run stops; None is any.

    Attributes:
        number_max: In all.
        in_a_row_max: One after the other in the source: the source itself is broken then.
        share_max: Of all records so far, 0..1, looked at from `share_after` records on.
    """

    number_max: int | None = 1_000
    in_a_row_max: int | None = 100
    share_max: float | None = 0.01
    share_after: int = 1_000


@dataclass(frozen=True)
class Tally:
    """What the caps are held against."""

    records: int = 0
    dead: int = 0
    in_a_row: int = 0
    in_a_row_max: int = 0

    def after(self, first: int, count: int, rejected: Sequence[Rejected]) -> "Tally":
        """Count a batch of `count` source records from position `first`."""
        dead = {one.position for one in rejected}
        row, longest = self.in_a_row, 0
        for position in range(first, first + count):
            row = row + 1 if position in dead else 0
            longest = max(longest, row)
        return Tally(
            self.records + count, self.dead + len(rejected), row, max(self.in_a_row_max, longest)
        )

    def check(self, caps: Caps, last_reason: str) -> None:
        """Raise TooManyDeadLetters when a cap is exceeded."""
        if caps.number_max is not None and self.dead > caps.number_max:
            raise TooManyDeadLetters("records in all", caps.number_max, self.dead, last_reason)
        if caps.in_a_row_max is not None and self.in_a_row_max > caps.in_a_row_max:
            raise TooManyDeadLetters(
                "records in a row", caps.in_a_row_max, self.in_a_row_max, last_reason
            )
        if caps.share_max is not None and self.records >= caps.share_after:
            share = self.dead / self.records
            if share > caps.share_max:
                raise TooManyDeadLetters("a share of records", caps.share_max, share, last_reason)


class DeadLetter:
    """Where corrupt records go.

    Args:
        path: JSON lines, one per record: batch, position, stage, reason, payload.
        caps: After which the run stops.
    """

    def __init__(self, path: Path | str, caps: Caps | None = None) -> None:
        self.path = Path(path)
        self.caps = caps or Caps()
        self.tally = Tally()
        self._journal: Journal | None = None

    def open_for(self, chain: str, batches: int, records: int) -> None:
        """Go on behind what landed; letters of batches that did not land are dropped."""
        self._journal = Journal(self.path, {"dead_letter": chain})
        self._journal.cut(lambda line: line["batch"] < batches)
        kept = list(self._journal.lines())
        positions = {line["position"] for line in kept}
        row = 0
        while records - 1 - row in positions:
            row += 1
        self.tally = Tally(records, len(kept), row, row)

    def take(self, batch: int, first: int, count: int, rejected: Sequence[Rejected]) -> None:
        """Write a landing batch's corrupt records.

        Raises:
            TooManyDeadLetters: With them a cap is exceeded; they are written all the same.
        """
        assert self._journal is not None, "open_for comes first"
        if rejected:
            self._journal.append(*(_line(batch, one) for one in rejected))
        tally = self.tally.after(first, count, rejected)
        # The last run's longest row was within the cap, so only what is new can exceed it.
        tally.check(self.caps, rejected[-1].reason if rejected else "none in this batch")
        self.tally = replace(tally, in_a_row_max=tally.in_a_row)

    def close(self) -> None:
        """Let others have the file."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def _line(batch: int, one: Rejected) -> dict[str, Any]:
    """A letter as JSON; a payload that is none is kept as what `repr` shows of it."""
    try:
        json.dumps(one.payload)
        payload = one.payload
    except (TypeError, ValueError):
        payload = {"repr": repr(one.payload)}
    return {
        "batch": batch,
        "position": one.position,
        "stage": one.stage,
        "reason": one.reason,
        "payload": payload,
    }
