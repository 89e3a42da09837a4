"""A batch on its way, and what the engine knows of its records."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rollout.execution.dead_letter import Rejected
from rollout.execution.stage_work import Answer


@dataclass
class Batch:
    """Records on their way.

    Attributes:
        number: From 0, over all runs.
        first, count: Position of its first record in the source, and how many there were.
        records: As the last stage gave them.
        positions: Of each of `records` in the source; None once a stage gave more or fewer than
            it took, for then nobody knows which came from where.
        rejected: For the dead letter.
        attempts: At the present place.
        handing_s, work_s: Seconds of its hand-offs and of its work, over all stages.
    """

    number: int
    first: int
    count: int
    records: list[Any]
    positions: Sequence[int] | None
    rejected: list[Rejected] = field(default_factory=list)
    attempts: int = 0
    handing_s: float = 0.0
    work_s: float = 0.0

    def take_in(self, stage: str, answer: Answer) -> None:
        """Take in what a stage gave."""
        given, rejected, seconds = answer
        self.work_s += seconds
        for index, payload, reason in rejected:
            position = None
            if index is not None:
                payload = self.records[index]
                position = self.positions[index] if self.positions is not None else None
            self.rejected.append(Rejected(position, stage, reason, payload))
        if rejected and self.positions is not None:
            gone = {index for index, _, _ in rejected}
            self.positions = [one for at, one in enumerate(self.positions) if at not in gone]
        if self.positions is not None and len(self.positions) != len(given):
            self.positions = None
        self.records = given
        self.attempts = 0
