"""Is a revert in effect? What routing did since is held against it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rollout.routing.decision import JobPath

CONFIRM_AFTER_S = 5.0
"""After a revert, jobs admitted later than this must all have been routed to legacy."""

ACTION = "confirm"
"""The action of a decision that only records that a revert is in effect."""


def confirm_from(reverted_at: datetime) -> datetime:
    """From when on every job must have been routed to legacy."""
    return reverted_at + timedelta(seconds=CONFIRM_AFTER_S)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What routing did after a revert.

    Attributes:
        step: Step that the revert began.
        since: Jobs admitted later than this count.
        routed: Their number by the path that routing chose.
    """

    step: int
    since: datetime
    routed: Mapping[JobPath, int]

    @property
    def contradicted(self) -> bool:
        """Whether jobs still go to the concurrent path."""
        return self.routed.get(JobPath.CONCURRENT, 0) > 0

    @property
    def sentence(self) -> str:
        """What this says of the revert."""
        jobs, went = sum(self.routed.values()), self.routed.get(JobPath.CONCURRENT, 0)
        if self.contradicted:
            return f"routing contradicts the revert: {went} of {jobs} jobs since went concurrent"
        if not jobs:
            return "not confirmed yet: no job was admitted since the revert"
        return f"routing confirms the revert: 0 of {jobs} jobs admitted since went concurrent"

    def answer(self) -> dict[str, str] | None:
        """The decision that records it; None as long as it is not confirmed."""
        if self.contradicted or not sum(self.routed.values()):
            return None
        window = f"{self.step}/confirmed"
        return {"action": ACTION, "window": window, "sentence": self.sentence}

    def inputs(self) -> str:
        """Give what the answer was drawn from, as it is stored."""
        routed = {str(path): jobs for path, jobs in self.routed.items()}
        seen = {"step": self.step, "since": self.since.isoformat(), "routed": routed}
        return json.dumps({"confirm": seen}, separators=(",", ":"))

    @classmethod
    def from_json(cls, payload: Mapping[str, Any]) -> Confirmation:
        """Read what `inputs` gave; raises KeyError, ValueError or TypeError."""
        routed = {JobPath(path): int(jobs) for path, jobs in payload["routed"].items()}
        return cls(int(payload["step"]), datetime.fromisoformat(payload["since"]), routed)
