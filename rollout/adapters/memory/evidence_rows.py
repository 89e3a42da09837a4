"""Evidence in memory: jobs by the window and the hour of their admission, and the fold into them.

What a job says is `pilot.outcome.outcome_of`, which the SQL ledger repeats in SQL.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from rollout.adapters.memory.rows import Rows
from rollout.jobs.claims import JobRecord, JobState
from rollout.pilot.fold import SUMS, Finished, Frame, Sum, fold_finished
from rollout.pilot.outcome import Outcome, outcome_of
from rollout.pilot.ports import HourRow, KeySpread, OpenSlow, WindowRow
from rollout.pilot.profile import LegacyProfile
from rollout.pilot.trial import Trial, edge_us
from rollout.policy.ports import LONGEST, Arrived
from rollout.routing.decision import JobPath
from rollout.routing.effects import Effects

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_JUDGED = (Outcome.GOOD, Outcome.FAILED)


class EvidenceRows:
    """The part of the ledger that trials read their jobs from."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def windows(self, now: datetime, limit: int) -> list[WindowRow]:
        """Read windows of admission that are old enough and not yet in a trial, oldest first."""
        with self._rows as rows:
            windows = [
                one
                for trial in rows.trials.values()
                if trial.on_trial
                for one in _windows_of(rows, trial, trial.scored_to, trial.settle_s(), now)
            ]
        windows.sort(key=lambda one: (one.begin, one.name, one.path))
        return windows[:limit]

    def early_windows(self, trial: Trial, now: datetime, limit: int) -> list[WindowRow]:
        """Read windows of one trial that are old enough for its fast path and not yet in it."""
        since = trial.early_from()
        if since is None:
            return []
        with self._rows as rows:
            found = list(_windows_of(rows, trial, since, trial.early_settle_s(), now))
        found.sort(key=lambda one: (one.begin, one.path))
        return found[:limit]

    def hours(self, name: str, step: int) -> list[HourRow]:
        """Read the totals of a step."""
        with self._rows as rows:
            mine = [(key, total) for key, total in rows.hours.items() if key[:2] == (name, step)]
        return [
            HourRow(hour, path, *(getattr(total, name) for name in SUMS))
            for (_, _, hour, path), total in sorted(mine, key=lambda item: item[0])
        ]

    def open_slow(self, trial: Trial, now: datetime) -> list[OpenSlow]:
        """Count unfinished jobs of the trial's step that are slow already, as its totals do."""
        thresholds = trial.thresholds
        if thresholds is None:
            return []
        counts: dict[JobPath, list[int]] = {}
        with self._rows as rows:
            for job in rows.open_jobs(trial.name):
                if (
                    job.accepted_at >= trial.began_at
                    and job.revision >= trial.step_revision
                    and job.reason.means.drawn
                    and not in_drill(rows, job)
                    and outcome_so_far(job) in _JUDGED
                ):
                    age_us = (now - job.accepted_at) // _MICROSECOND
                    slow = counts.setdefault(job.assigned_path, [0, 0])
                    slow[0] += age_us > edge_us(thresholds.median)
                    slow[1] += age_us > edge_us(thresholds.tail)
        return [OpenSlow(path, *slow) for path, slow in counts.items()]

    def counts_of(
        self, trials: Sequence[Trial], now: datetime
    ) -> dict[str, tuple[list[HourRow], list[OpenSlow]]]:
        """Read the totals and the slow jobs of many trials."""
        return {
            one.name: (self.hours(one.name, one.step), self.open_slow(one, now)) for one in trials
        }

    def key_spread(self, name: str, limit: int) -> KeySpread:
        """Measure how the newest `limit` jobs spread over keys."""
        with self._rows as rows:
            groups = Counter(job.key for job in rows.newest(name, limit))
        jobs = sum(groups.values())
        squares = sum(size * size for size in groups.values())
        return KeySpread(jobs, len(groups), squares / jobs if jobs else 1.0)

    def routed_since(self, name: str, since: datetime) -> dict[JobPath, int]:
        """Count jobs admitted since then by the path that routing chose."""
        with self._rows as rows:
            admitted = rows.admitted_from(name, since)
        return dict(Counter(job.assigned_path for job in admitted if job.accepted_at > since))

    def arrivals(self, since: datetime, name: str | None = None) -> list[Arrived]:
        """Count the jobs of each, or one, that have finished since then, by name."""
        arrived: dict[str, Arrived] = {}
        with self._rows as rows:
            for job in rows.jobs.values():
                if job.finished_at is None or job.finished_at < since:
                    continue
                if name is not None and (name != job.name or job.accepted_at < since - LONGEST):
                    continue
                legacy = int(job.assigned_path is JobPath.LEGACY)
                failed = legacy if job.state is JobState.FAILED else 0
                one = Arrived(job.name, 1, legacy, failed, job.finished_at)
                arrived[job.name] = arrived[job.name].and_also(one) if job.name in arrived else one
        return [arrived[one] for one in sorted(arrived)]

    def declared_effects(self) -> dict[str, Effects]:
        """Effects of every declared sub-pipeline, by name."""
        with self._rows as rows:
            return dict(rows.effects)


def fold_into_trials(rows: Rows, jobs: Sequence[JobRecord]) -> None:
    """Add finished jobs to totals and profiles, in the transaction that marks them folded."""
    frames = {job.name: _frame(rows.trials[job.name]) for job in jobs if job.name in rows.trials}
    spans = {
        name: [(span.began_at, span.ended_at) for span in spans]
        for name, spans in rows.spans.items()
    }
    folded = fold_finished(map(_finished, jobs), frames, spans)
    for name, finished in folded.profiles.items():
        rows.profiles[name] = rows.profiles.get(name, LegacyProfile()).add(finished)
    for key, gained in folded.hours.items():
        total = rows.hours.setdefault(key, Sum())
        for column in SUMS:
            setattr(total, column, getattr(total, column) + getattr(gained, column))


def _frame(trial: Trial) -> Frame:
    return Frame(
        trial.step,
        trial.step_revision,
        trial.began_at,
        trial.hour_s,
        trial.thresholds,
        trial.on_trial,
    )


def _finished(job: JobRecord) -> Finished:
    assert job.finished_at is not None, "only finished jobs are folded"
    return Finished(
        job.name,
        job.assigned_path,
        job.path,
        job.state,
        job.reason,
        job.revision,
        job.fallback_reason,
        job.moved_reason,
        job.drill,
        job.accepted_at,
        job.started_at,
        job.finished_at,
    )


def outcome_so_far(job: JobRecord) -> Outcome:
    """What a job says of its path by now."""
    backwards = job.finished_at is not None and job.finished_at < job.accepted_at
    return outcome_of(
        job.assigned_path,
        job.path,
        job.state,
        job.fallback_reason,
        job.moved_reason,
        backwards=backwards,
    )


def in_drill(rows: Rows, job: JobRecord) -> bool:
    """Whether a drill hurt the job, or was under way when it was admitted."""
    return job.drill is not None or any(
        span.began_at <= job.accepted_at <= span.ended_at for span in rows.spans[job.name]
    )


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _windows_of(
    rows: Rows, trial: Trial, since: datetime, settle_s: float, now: datetime
) -> Iterable[WindowRow]:
    length = round(trial.window_s * 1_000_000)
    settle = round(settle_s * 1_000_000)
    ripe = (_microseconds(now) - settle) // length * length
    groups: defaultdict[tuple[int, JobPath], list[JobRecord]] = defaultdict(list)
    for job in rows.admitted_from(trial.name, since):
        at = _microseconds(job.accepted_at)
        if at >= ripe:
            break
        belongs = job.revision >= trial.step_revision and job.reason.means.drawn
        if belongs and not in_drill(rows, job):
            groups[(at // length, job.assigned_path)].append(job)
    for (number, path), jobs in groups.items():
        yield _window(trial, path, number * length, length, jobs, now)


def _window(
    trial: Trial,
    path: JobPath,
    begin: int,
    length: int,
    jobs: Sequence[JobRecord],
    now: datetime,
) -> WindowRow:
    outcomes = [outcome_so_far(job) for job in jobs]
    counted = Counter(outcomes)
    slow = [0, 0]
    edges = trial.edges_us()
    if edges is not None:
        limits = edges[:2] if path is JobPath.LEGACY else edges[2:]
        for job, outcome in zip(jobs, outcomes, strict=True):
            if outcome in _JUDGED:
                taken = ((job.finished_at or now) - job.accepted_at) // _MICROSECOND
                failed = outcome is Outcome.FAILED  # no fast job, however soon it failed
                slow[0] += failed or taken > limits[0]
                slow[1] += failed or taken > limits[1]
    return WindowRow(
        trial.name,
        path,
        _EPOCH + begin * _MICROSECOND,
        _EPOCH + (begin + length) * _MICROSECOND,
        len(jobs),
        counted[Outcome.GOOD] + counted[Outcome.FAILED],
        counted[Outcome.FAILED],
        counted[Outcome.BOTH_FAILED],
        counted[Outcome.UNJUDGED],
        slow[0],
        slow[1],
    )
