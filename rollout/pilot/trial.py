"""What the controller remembers of one sub-pipeline between ticks.

A trial is a row of steps. A step begins when scope, stage, build or fence change, whoever changed
them; what the revert tests learnt is kept over steps and forgotten when a build changes, after a
kill, and when a person starts again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rollout.evidence.blocks import TICK_S_MAX
from rollout.evidence.buckets import bucket_edge_s
from rollout.evidence.revert_test import NO_JOBS, Spanned, Window
from rollout.evidence.stored import Json
from rollout.evidence.thresholds import REVERT_SHIFT, Thresholds
from rollout.pilot.step import StepEvidence, Taken, guard_of
from rollout.policy.policy import Policy
from rollout.policy.way import Baseline
from rollout.routing.stages import Stage

WINDOW_S = 10.0
"""Length of a window of admission at a policy day of 24 h."""

WINDOW_S_MIN = 0.5
"""Shorter windows gain nothing: a controller ticks about once a second."""

EARLY_S_MAX = 300.0
"""The fast path judges a window at this age at the latest, however long legacy's jobs take."""

_ANOTHER_STEP = -1
"""A fence that no control state has, so that what follows is another step."""

SETTLE_S_MIN = 2.0
"""Rows of jobs appear a moment after their admission, and clocks differ a little."""

ON_TRIAL = frozenset({Stage.SPLIT, Stage.GRADUATED})
"""Stages in which windows compare the paths."""


Admitted = tuple[datetime, datetime, Window]
"""A window of admission: from when, to when, and the jobs."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a step one step; jobs of different ones are never added up."""

    stage: Stage
    scope_bp: int
    fence_revision: int
    legacy_build: str | None = None
    concurrent_build: str | None = None

    @property
    def builds(self) -> tuple[str | None, str | None]:
        """The builds of both paths."""
        return self.legacy_build, self.concurrent_build


@dataclass(frozen=True, slots=True)
class Trial:
    """One sub-pipeline's trial.

    Attributes:
        name: Sub-pipeline.
        version: Grows with each write, so that of two writers one is refused.
        step: Number of the step.
        step_revision: Jobs routed on an older revision belong to an earlier step.
        identity: What makes this step.
        began_at: When the step began.
        scored_to: Windows up to here are in the evidence.
        looks: Looks taken at this step.
        look_at_day: Days after `began_at` of the next look.
        window_s: Seconds of a window of admission.
        hour_s: Seconds of an hour of the policy's day; totals are kept by it.
        fresh_at: When the evidence was begun; what came before it belongs to another trial.
        evidence: The revert tests.
        thresholds: What is slow, from legacy's profile; fixed until the day ends.
        cooldown_until: No advance before.
        design_effect: See `Situation`.
        reverted_at: When the last revert was made and is not yet confirmed by routing.
        recovered_to: Recoveries up to here are in the evidence.
        acted: What the controller last did: advance, graduate or revert; empty for nothing yet.
        acted_at: When.
        advanced_at: When the controller last advanced it, whatever it did since.
        taken_back: It was on trial, is on legacy again, and nobody has started it since: whoever
            took it back, the controller or a person.
        said: Window of the last hold that was recorded, so that one is not recorded each tick.
        baseline: What legacy was like before the trial; None while nobody knows.
        early_to: Windows up to here are in the fast path, which does not wait for slow jobs; None
            while it takes in the same windows as all.
    """

    name: str
    version: int
    step: int
    step_revision: int
    identity: Identity
    began_at: datetime
    scored_to: datetime
    looks: int
    look_at_day: float
    window_s: float
    hour_s: float
    fresh_at: datetime
    evidence: StepEvidence
    thresholds: Thresholds | None = None
    cooldown_until: datetime | None = None
    design_effect: float = 1.0
    reverted_at: datetime | None = None
    recovered_to: datetime | None = None
    acted: str = ""
    acted_at: datetime | None = None
    advanced_at: datetime | None = None
    taken_back: bool = False
    said: str = ""
    baseline: Baseline | None = None
    early_to: datetime | None = None

    @property
    def on_trial(self) -> bool:
        """Whether its windows compare the paths."""
        return self.identity.stage in ON_TRIAL and self.identity.scope_bp > 0

    def settle_s(self) -> float:
        """Age at which a window is judged: legacy's 95th percentile, when most jobs have ended."""
        if self.thresholds is None:
            return SETTLE_S_MIN
        return max(bucket_edge_s(self.thresholds.tail), SETTLE_S_MIN)

    def early_settle_s(self) -> float:
        """The same for the fast path, which must see a total failure while it is young."""
        return min(self.settle_s(), EARLY_S_MAX)

    def early_from(self) -> datetime | None:
        """Where the fast path goes on alone; None while it takes in what all tests do."""
        if not self.on_trial:
            return None
        if self.early_to is None and self.settle_s() <= EARLY_S_MAX:
            return None
        return self.early_to or self.scored_to

    def edges_us(self) -> tuple[int, int, int, int] | None:
        """Microseconds beyond which a job is slow, for the revert tests.

        Returns:
            Legacy's median and tail, then the same with the concurrent path's margin.
        """
        thresholds = self.thresholds
        if thresholds is None:
            return None
        return (
            edge_us(thresholds.median),
            edge_us(thresholds.tail),
            edge_us(thresholds.median + REVERT_SHIFT),
            edge_us(thresholds.tail + REVERT_SHIFT),
        )

    def observe(
        self, window: Window, begin: datetime, end: datetime, rate_legacy: float | None, pace: float
    ) -> Trial:
        """Take in the jobs admitted from `begin` to `end`; see `observe_all`."""
        return self.observe_all([(begin, end, window)], rate_legacy, pace)

    def observe_all(
        self, windows: Sequence[Admitted], rate_legacy: float | None, pace: float
    ) -> Trial:
        """Take in windows, oldest first; time between them passes, too.

        Raises:
            EvidenceError: One of them cannot be; nothing is changed.
        """
        spans, scored_to = _spans(self.scored_to, windows, pace)
        if not spans:
            return self
        which = Taken.ALL if self.early_from() is None else Taken.LATE
        return replace(
            self,
            evidence=self.evidence.observe_all(spans, rate_legacy, pace, which),
            scored_to=scored_to,
            early_to=self.early_from(),
        )

    def observe_early(
        self, windows: Sequence[Admitted], rate_legacy: float | None, pace: float
    ) -> Trial:
        """Take in young jobs, for the fast path alone; the same but for that.

        Raises:
            EvidenceError: One of them cannot be; nothing is changed.
        """
        since = self.early_from()
        if since is None:
            return self
        spans, early_to = _spans(since, windows, pace)
        if not spans:
            return self
        evidence = self.evidence.observe_all(spans, rate_legacy, pace, Taken.EARLY)
        return replace(self, evidence=evidence, early_to=early_to)

    def payload(self) -> Json:
        """Give what has no column of its own as a plain object."""
        one = self.identity
        thresholds = self.thresholds
        return {
            "identity": [
                str(one.stage),
                one.scope_bp,
                one.fence_revision,
                one.legacy_build,
                one.concurrent_build,
            ],
            "looks": self.looks,
            "look_at_day": self.look_at_day,
            "baseline": None
            if self.baseline is None
            else [self.baseline.jobs_a_week, self.baseline.rate_failed],
            "early_to": _text(self.early_to),
            "window_s": self.window_s,
            "hour_s": self.hour_s,
            "fresh_at": self.fresh_at.isoformat(),
            "evidence": self.evidence.to_json(),
            "thresholds": None if thresholds is None else [thresholds.median, thresholds.tail],
            "cooldown_until": _text(self.cooldown_until),
            "design_effect": self.design_effect,
            "reverted_at": _text(self.reverted_at),
            "recovered_to": _text(self.recovered_to),
            "acted": self.acted,
            "acted_at": _text(self.acted_at),
            "advanced_at": _text(self.advanced_at),
            "taken_back": self.taken_back,
            "said": self.said,
        }


def _spans(
    since: datetime, windows: Sequence[Admitted], pace: float
) -> tuple[list[Spanned], datetime]:
    """Lay windows and the gaps between them end to end, and say where they end."""
    spans: list[Spanned] = []
    for begin, end, window in windows:
        if end <= since:
            continue
        gap_s = (begin - since).total_seconds()
        if gap_s > 0.0:
            # A longer one brings no more stake than the tests' period has: away is not watched.
            spans.append((NO_JOBS, min(gap_s, TICK_S_MAX / max(pace, 1.0))))
        spans.append((window, (end - max(begin, since)).total_seconds()))
        since = end
    return spans, since


def edge_us(bucket: int) -> int:
    """The longest duration of a bucket in whole microseconds."""
    return round(bucket_edge_s(bucket) * 1_000_000)


def trial_from(columns: Mapping[str, Any], payload: Mapping[str, Any], policy: Policy) -> Trial:
    """Build a trial from a row and its payload.

    Raises:
        BadState, BadCounts: It is not what this release stores.
    """
    stage, scope_bp, fence, legacy, concurrent = payload["identity"]
    found, guard = payload["thresholds"], guard_of(policy)
    if "shifts" in payload:
        # The last release counted slow jobs by another margin: this step's totals begin anew.
        fence = _ANOTHER_STEP
    known, acted_at = payload.get("baseline"), _time(payload["acted_at"])
    # The last release kept one time for whatever it did last.
    advanced_at = acted_at if payload["acted"] == "advance" else None
    return Trial(
        name=columns["name"],
        version=columns["version"],
        step=columns["step"],
        step_revision=columns["step_revision"],
        identity=Identity(Stage(stage), scope_bp, fence, legacy, concurrent),
        began_at=columns["began_at"],
        scored_to=columns["scored_to"],
        looks=payload["looks"],
        look_at_day=payload["look_at_day"],
        window_s=payload["window_s"],
        hour_s=payload["hour_s"],
        fresh_at=datetime.fromisoformat(payload["fresh_at"]),
        evidence=StepEvidence.from_json(payload["evidence"], guard).completed(guard),
        thresholds=None if found is None else Thresholds(*found),
        cooldown_until=_time(payload["cooldown_until"]),
        design_effect=payload["design_effect"],
        reverted_at=_time(payload["reverted_at"]),
        recovered_to=_time(payload["recovered_to"]),
        acted=payload["acted"],
        acted_at=acted_at,
        advanced_at=_time(payload.get("advanced_at")) or advanced_at,
        taken_back=payload.get("taken_back", payload["acted"] == "revert"),
        said=payload["said"],
        baseline=None if known is None else Baseline(*known),
        early_to=_time(payload.get("early_to")),
    )


def _text(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
