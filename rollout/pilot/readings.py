"""From the ledger's rows to what the revert tests take in: windows of both paths, recoveries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from rollout.evidence.counts import Counts
from rollout.evidence.recovery_watch import is_slow
from rollout.evidence.revert_test import Window
from rollout.pilot.ports import Recovery, WindowRow
from rollout.pilot.step import StepEvidence
from rollout.pilot.trial import Trial
from rollout.routing.decision import JobPath


def windows_of(
    rows: Sequence[WindowRow], thresholds: bool
) -> list[tuple[datetime, datetime, Window]]:
    """Put both paths of each window together, oldest first.

    A job that failed on both paths has its input to blame, and is a failed job all the same: one
    that legacy alone got counts as legacy's failure, and leaving the other arm's out would hide as
    many of the concurrent path's own.
    """
    by_begin: defaultdict[datetime, dict[JobPath, WindowRow]] = defaultdict(dict)
    for row in rows:
        by_begin[row.begin][row.path] = row
    windows = []
    for begin_at in sorted(by_begin):
        both = by_begin[begin_at]
        new, old = both.get(JobPath.CONCURRENT), both.get(JobPath.LEGACY)
        n, k, k_median, k_tail = _NOTHING if new is None else _blamed(new)
        m, j, j_median, j_tail = (
            _NOTHING if old is None else (old.jobs, old.failed, old.slow_median, old.slow_tail)
        )
        window = Window(
            Counts(n, k, m, j),
            Counts(n, k_median, m, j_median) if thresholds else None,
            Counts(n, k_tail, m, j_tail) if thresholds else None,
            new.admitted if new else 0,
            old.admitted if old else 0,
            new.both_failed if new else 0,
            (new.unjudged if new else 0) + (old.unjudged if old else 0),
        )
        windows.append((begin_at, next(iter(both.values())).end, window))
    return windows


_NOTHING = (0, 0, 0, 0)


def _blamed(new: WindowRow) -> tuple[int, int, int, int]:
    """Jobs, failures and slow ones of the concurrent path, with those that failed on both."""
    both = new.both_failed
    return new.jobs + both, new.failed + both, new.slow_median + both, new.slow_tail + both


def whole_windows(rows: list[WindowRow]) -> list[WindowRow]:
    """Leave out the newest window of a bounded read: its other path may be beyond the bound."""
    newest = max(row.begin for row in rows)
    return [row for row in rows if row.begin < newest] or rows


def with_recovery(trial: Trial, recovery: Recovery, healed: Sequence[Recovery]) -> StepEvidence:
    """Judge one drill of the concurrent path against legacy's median under drills.

    A drill is the same fault on both paths, so one that loses a job or has not healed at its cap
    reverts at once. An incident, of which older ledgers hold some, is whatever happened: it says
    nothing here.
    """
    if not recovery.by_drill or recovery.onset_at < trial.fresh_at:
        return trial.evidence
    if recovery.jobs_lost or recovery.seconds >= recovery.cap_s:
        return trial.evidence.not_recovered()
    legacy = sorted(
        other.seconds for other in healed if other.path is JobPath.LEGACY and other.by_drill
    )
    if not legacy or legacy[len(legacy) // 2] <= 0:
        return trial.evidence
    return trial.evidence.recovered(is_slow(recovery.seconds, legacy[len(legacy) // 2]))


def recovered_to(trial: Trial) -> datetime:
    """Recoveries up to here are in its evidence."""
    return trial.recovered_to or trial.began_at
