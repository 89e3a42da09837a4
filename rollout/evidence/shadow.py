"""What all shadows of one sub-pipeline showed so far: outputs, times, errors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from rollout.evidence.blocks import TICK_S_MAX
from rollout.evidence.outputs import Outputs
from rollout.evidence.paired_time import PairedTime
from rollout.evidence.stored import Count, Number, Stored
from rollout.routing.decision import JobPath


@dataclass(frozen=True, slots=True)
class ShadowEvidence(Stored):
    """The state of both tests, and counts.

    Attributes:
        pairs: Concurrent results that were compared with legacy's.
        errors: Shadows of the concurrent path that ended in trouble.
        again_errors: The same of legacy run again.
        last_s: Time of the last pair, seconds since 1970; 0 before the first.
        outputs: The test of the results.
        time: The test of the times.
    """

    pairs: Count = 0
    errors: Count = 0
    again_errors: Count = 0
    last_s: Number = 0.0
    outputs: Outputs = field(default_factory=Outputs)
    time: PairedTime = field(default_factory=PairedTime)

    def compared(
        self,
        path: JobPath,
        differing: Collection[str],
        legacy_s: float,
        shadow_s: float,
        at_s: float,
    ) -> ShadowEvidence:
        """Take in a run whose result was compared; raises EvidenceError, the state unchanged."""
        again = path is JobPath.LEGACY
        outputs = self.outputs.observe(again, differing)
        if again:
            time = self.time.observe_again(legacy_s, shadow_s)
            return replace(self, outputs=outputs, time=time)
        # Clocks of several workers may disagree; a step back is no time at all.
        since_s = min(max(0.0, at_s - self.last_s), TICK_S_MAX) if self.last_s else 0.0
        time = self.time.observe(legacy_s, shadow_s, since_s)
        last_s = max(self.last_s, at_s)
        return replace(self, pairs=self.pairs + 1, last_s=last_s, outputs=outputs, time=time)

    def failed(self, path: JobPath, differing: Collection[str]) -> ShadowEvidence:
        """Take in a run that ended in trouble; `differing` is empty when not by the path."""
        again = path is JobPath.LEGACY
        outputs = self.outputs.observe(again, differing) if differing else self.outputs
        if again:
            return replace(self, again_errors=self.again_errors + 1, outputs=outputs)
        return replace(self, errors=self.errors + 1, outputs=outputs)
