"""What came of one drill on one path: the figures of its journal's last line."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from rollout.drills.healing import Healing
from rollout.jobs.claims import JobRecord, JobState
from rollout.jobs.way import read_way
from rollout.routing.decision import JobPath, Reason

SECONDS_MIN = 0.001
"""A recovery takes some time: the recovery test compares logarithms."""


FROM_OUTSIDE = "from outside"
"""Fault of a mark that was made after a job had failed under an experiment."""


class Result(StrEnum):
    """How a drill ended, one sentence each."""

    HEALED = "healed"
    """Every hurt job has its outcome and the path is back inside its band."""
    NOT_HEALED = "not healed"
    """The deadline came first; the recovery time is cut at it."""
    NOBODY_HURT = "nobody hurt"
    """The fault met no job, so nothing was measured."""
    ABORTED = "aborted"
    """The drill was broken off, and its fault with it; nothing was measured."""
    DONE = "done"
    """The kill switch was thrown, timed and lifted; it is no recovery to compare."""


@dataclass(frozen=True, slots=True)
class Score:
    """One drill on one path.

    Attributes:
        onset_at: When the first job was hurt.
        detected_at: When the first hurt job was seen to fail, wait or move, or the end of the first
            window outside the band if it came first.
        recovered_at: When the path was healed; None when it was not by the deadline.
        recovery_s: From onset to recovery, or to the deadline.
        jobs_lost: Hurt jobs without an outcome at the end; must be 0.
        effects_twice: Hurt jobs that were committed more than once; must be 0.
        more: Figures that only this kind of drill has.
    """

    drill_id: str
    path: JobPath
    result: Result
    sentence: str
    onset_at: datetime | None = None
    detected_at: datetime | None = None
    recovered_at: datetime | None = None
    detection_s: float | None = None
    recovery_s: float | None = None
    jobs_hurt: int = 0
    jobs_lost: int = 0
    effects_twice: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        """Whether there is a recovery time that may be compared."""
        return self.result in (Result.HEALED, Result.NOT_HEALED)

    def facts(self) -> dict[str, Any]:
        """Everything as plain JSON."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }


def score_of(
    drill_id: str,
    path: JobPath,
    jobs: Sequence[JobRecord],
    healing: Healing | None,
    recovered_at: datetime | None,
    cap_s: float,
    *,
    aborted: str | None,
    late: bool,
) -> Score:
    """Score one drill on one path.

    Args:
        jobs: Those that it hurt, as they are now.
        healing: The path since the first of them was hurt; None when none was.
        cap_s: Recovery times are cut at it.
        aborted: Why it was broken off.
        late: Whether the deadline is over: a hurt job without an outcome then counts as lost.
    """
    outside = None if healing is None else healing.outside_at
    # An outside fault hurts a path, too, when no job fails under it: then a window shows it.
    hurt = bool(jobs) or outside is not None
    onset = healing.onset_at if hurt and healing is not None else None
    recovered_at = recovered_at if hurt else None
    failures = [at for at in map(failed_at, jobs) if at is not None]
    first = min(failures, default=None)
    detected = min((at for at in (first, outside) if at is not None), default=None)
    result, sentence = _result(len(jobs), hurt, recovered_at, cap_s, aborted)
    recovery_s = None
    if onset is not None and result in (Result.HEALED, Result.NOT_HEALED):
        took = cap_s if recovered_at is None else (recovered_at - onset).total_seconds()
        recovery_s = min(max(SECONDS_MIN, took), cap_s)
    return Score(
        drill_id=drill_id,
        path=path,
        result=result,
        sentence=sentence,
        onset_at=onset,
        detected_at=detected,
        recovered_at=recovered_at,
        detection_s=_seconds(onset, detected),
        recovery_s=recovery_s,
        jobs_hurt=len(jobs),
        jobs_lost=sum(not record.state.finished for record in jobs) if late else 0,
        effects_twice=committed_twice(jobs),
    )


def _result(
    jobs: int, hurt: bool, recovered_at: datetime | None, cap_s: float, aborted: str | None
) -> tuple[Result, str]:
    if aborted is not None:
        return Result.ABORTED, f"Broken off: {aborted}."
    if not hurt:
        return Result.NOBODY_HURT, "The fault met no job that it could hurt."
    if recovered_at is not None:
        return Result.HEALED, f"Jobs hurt: {jobs}; all have an outcome, the path is healed."
    return Result.NOT_HEALED, f"Not healed within {cap_s:g} s."


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    if since is None or until is None:
        return None
    return round(max(0.0, (until - since).total_seconds()), 3)


def has_failed(
    state: JobState, fallback: Reason | None, moved: Reason | None, drill: str | None
) -> bool:
    """Whether a path failed a finished job, as a drill sees it.

    A run that a drill broke on legacy was a failure, too, though legacy ran the job again.
    """
    broken = drill is not None and moved is not None and Reason(moved).means.ends_drilled_run
    return state == JobState.FAILED or fallback is not None or broken


def struck_at(record: JobRecord) -> datetime | None:
    """When a drill hurt this job, by its way."""
    for line in read_way(record.way):
        if line["what"] == "drilled":
            return datetime.fromisoformat(line["at"])
    return None


def failed_at(record: JobRecord) -> datetime | None:
    """When the job first failed or moved after it was hurt; None while it only waits."""
    lines = read_way(record.way)
    struck = [at for at, line in enumerate(lines) if line["what"] == "drilled"]
    if struck and lines[struck[0]].get("fault") == FROM_OUTSIDE:
        struck = [0]  # it was marked because it had failed
    for line in lines[struck[0] + 1 :] if struck else []:
        # Behind a cut line nobody could note that the job moved; its next start shows it.
        elsewhere = line["what"] == "started" and line["path"] != record.assigned_path
        if line["what"] in ("handed to legacy", "failed") or elsewhere:
            return datetime.fromisoformat(line["at"])
    return None


def committed_twice(records: Sequence[JobRecord]) -> int:
    """Jobs whose way has more than one commit."""
    return sum(
        sum(line["what"] == "committed" for line in read_way(record.way)) > 1 for record in records
    )


def last_finished(records: Sequence[JobRecord]) -> datetime | None:
    """When the last of these jobs finished; None while one has no outcome, or there is none."""
    if not records or not all(record.state.finished for record in records):
        return None
    return max(record.finished_at for record in records if record.finished_at is not None)
