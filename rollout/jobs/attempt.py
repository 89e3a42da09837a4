"""One delivery of one job: gate, claim, run, commit; or what becomes of it instead.

This is the way that every job takes, in a Celery worker and in `SubPipeline.run` alike. The
caller hands in a delivery and carries out the outcome; it decides nothing.

    gate    a concurrent start asks the control store; any answer but a clear yes is legacy
    claim   the ledger gives the attempt its number, and says no once a kill has passed
    run     an error on the concurrent path hands the job to legacy; on legacy it is kept
    commit  hook, fence, attempt and row in one transaction
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from rollout.errors import JobFailed, LedgerUnreachable, UnknownJob
from rollout.jobs.claims import DEATHS_MAX, Claim, JobRecord, JobState, Refusal
from rollout.jobs.delivery import (
    Delivery,
    Done,
    Dropped,
    Failed,
    Outcome,
    PathRun,
    Paths,
    ToLegacy,
    Wait,
)
from rollout.jobs.interference import Interference
from rollout.jobs.ports import Committed, ConnectionSource, Job, Ledger, Refused
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import ControlStore
from rollout.routing.rule import Planted, Reading, RouteTable, plan_in_force, position

log = structlog.get_logger("rollout")

_T = TypeVar("_T")

COMMIT_WAITS_S = (0.1, 0.3, 1.0, 3.0, 5.0, 10.0)
"""Pauses between tries to commit while the ledger is away, about twenty seconds in all."""


def commit_waits_s(job_id: str) -> Iterator[float]:
    """The pauses of one job, each between a half and one and a half of its nominal length.

    They follow from the job's id, so that the jobs of all workers do not come back to a ledger
    that has just restarted in the same moment.
    """
    for number, pause_s in enumerate(COMMIT_WAITS_S):
        yield pause_s * (0.5 + position(job_id, str(number)) / 2**64)


class Attempts:
    """Runs deliveries.

    Args:
        control: Asked once per concurrent start.
        ledger: Claims and commits.
        clock: Time, and pauses between tries to commit.
        silent_after: A started job not heard of for this long may be claimed again.
        passes: Exceptions that belong to the queue engine (a retry, say) and are raised through.
        forgets: Those among them by which a path tells the queue engine to forget the job.
        interference: What breaks jobs on purpose; None leaves every job alone.
    """

    def __init__(
        self,
        control: ControlStore,
        ledger: Ledger,
        clock: Clock,
        silent_after: timedelta,
        passes: tuple[type[BaseException], ...] = (),
        forgets: tuple[type[BaseException], ...] = (),
        interference: Interference | None = None,
    ) -> None:
        self._control = control
        self._interference = interference
        self._ledger = ledger
        self._clock = clock
        self._silent_after = silent_after
        self._passes = passes
        self._forgets = forgets

    def run(self, paths: Paths, delivery: Delivery) -> Outcome:
        """Take one delivery as far as it goes. Raises only what `passes` names."""
        job, reading = delivery.job, None
        if job.path is JobPath.CONCURRENT:
            reading = self._control.read(job.name)
            reason = _why_not(reading, job.key)
            if reason is not None:
                return self._turn_away(job, reason)
        elif delivery.drilled:
            reading = self._control.read(job.name)
        if self._interference is not None and reading is not None and reading.plan is not None:
            planted = plan_in_force(reading, job.path, self._clock.now())
            if planted is not None:
                return _uncopied(self._interfered(paths, delivery, planted))
        made = self._start(paths, delivery)
        return _uncopied(made) if delivery.drilled else made

    def _interfered(self, paths: Paths, delivery: Delivery, planted: Planted) -> Outcome:
        """Take a delivery its way with what a drill makes of it."""
        assert self._interference is not None, "asked for by the caller"
        met = self._interference.meet(paths, delivery, self._ledger, planted)
        if met.turned_away is not None:
            return self._turn_away(delivery.job, met.turned_away)
        behind = self if met.ledger is self._ledger else self._with(met.ledger)
        return behind._start(met.paths, delivery)

    def _with(self, ledger: Ledger) -> "Attempts":
        """The same attempts, claimed and committed by another ledger."""
        return Attempts(
            self._control, ledger, self._clock, self._silent_after, self._passes, self._forgets
        )

    def _start(self, paths: Paths, delivery: Delivery) -> Outcome:
        """Claim the job and run its path, or say what becomes of it instead."""
        job = delivery.job
        try:
            claim = self._claim(paths, delivery)
        except LedgerUnreachable as error:
            return self._without_ledger(paths, job, error)
        if isinstance(claim, Refused):
            return self._refused(paths, job, claim)
        return self._claimed(paths, replace(job, attempt=claim.attempt), claim)

    def worker_lost(self, paths: Paths, job: Job, worker: str, reason: Reason) -> Outcome:
        """Say what becomes of a job whose worker process has just died or been stopped.

        Called by the process that saw it, so that nothing waits for a redelivery. `worker` is
        the one that died; if another has the job by now, that one keeps it.
        """
        try:
            record = self._ledger.job(job.job_id)
        except (LedgerUnreachable, UnknownJob):
            return ToLegacy(reason)
        if record.state is JobState.ACCEPTED:
            if record.path is JobPath.CONCURRENT:
                return self._hand_over(job, None, reason, None)
            return ToLegacy(reason)
        if record.state.finished:
            return _outcome_of(paths, record)
        if record.worker != worker:
            return Dropped(Refusal.STALE)
        if not paths.effects.repeatable:
            return self._keep(job, record, Refusal.UNSAFE_REPEAT)
        if reason is Reason.TIME_LIMIT and record.path is JobPath.LEGACY:
            if record.drill is not None and record.moved_reason is not Reason.DRILL:
                return self._hand_over(job, record.attempt, Reason.DRILL, None)
            # Legacy's own limit is legacy's failure, as it was without rollout.
            return self._keep(job, record, Refusal.TIME_LIMIT)
        if record.deaths + 1 >= DEATHS_MAX:
            return self._keep(job, record, Refusal.POISON)
        return self._hand_over(job, record.attempt, reason, None)

    def hand_back(self, paths: Paths, job: Job) -> Outcome | None:
        """Say what becomes of a running job whose worker has no more time; None lets it run."""
        try:
            record = self._ledger.job(job.job_id)
        except (LedgerUnreachable, UnknownJob):
            return None
        if record.state is not JobState.STARTED or not paths.effects.repeatable:
            return None
        return self._hand_over(job, record.attempt, Reason.STOPPED, None)

    def _claim(self, paths: Paths, delivery: Delivery) -> Claim | Refused:
        for _ in range(2):
            claim = self._ledger.claim(
                paths.name,
                delivery.job.job_id,
                delivery.job.path,
                paths.effects,
                delivery.worker,
                self._clock.now(),
                self._silent_after,
            )
            if not isinstance(claim, Refused) or claim.refusal is not Refusal.UNFILED:
                return claim
            self._ledger.ensure(paths.name, paths.effects, paths.holdback_bp, self._clock.now())
            self._ledger.file([delivery.filing()])
        return claim

    def _refused(self, paths: Paths, job: Job, refused: Refused) -> Outcome:
        record = refused.record
        match refused.refusal:
            case Refusal.KILLED:
                return self._turn_away(job, Reason.KILLED)
            case Refusal.WORKER_LOST:
                assert record is not None, "only an unfiled job has no record"
                return self._hand_over(job, record.attempt, Reason.WORKER_LOST, None)
            case Refusal.FINISHED:
                assert record is not None, "only an unfiled job has no record"
                return _outcome_of(paths, record)
            case Refusal.POISON | Refusal.UNSAFE_REPEAT:
                assert record is not None, "only an unfiled job has no record"
                return self._keep(job, record, refused.refusal)
            case other:
                return Dropped(other)

    def _keep(self, job: Job, record: JobRecord, refusal: Refusal) -> Outcome:
        said = {
            Refusal.POISON: f"{record.deaths + 1} workers died under this job",
            Refusal.UNSAFE_REPEAT: "a start of this unsafe job ended without a word",
            Refusal.TIME_LIMIT: "the legacy path ran past its time limit",
        }[refusal]
        try:
            kept = self._ledger.fail(
                job.job_id, record.attempt, Reason.WORKER_LOST, said, self._clock.now()
            )
        except LedgerUnreachable as error:
            return Wait(error)
        return Failed(JobFailed(job.job_id, said)) if kept else Dropped(Refusal.STALE)

    def _claimed(self, paths: Paths, job: Job, claim: Claim) -> Outcome:
        began = self._clock.monotonic()
        try:
            value = paths.call(claim.path, job)
        except self._forgets as gone:
            # That is the job's outcome: kept for a person, unless another attempt has it.
            self._record_failure(job, claim, f"the path raised {type(gone).__name__}")
            raise
        except self._passes:
            raise
        except (Exception, SystemExit) as error:
            return self._path_failed(paths, job, claim, error)
        return self._commit(paths, job, claim, PathRun(value, self._clock.monotonic() - began))

    def _commit(self, paths: Paths, job: Job, claim: Claim, ran: PathRun) -> Outcome:
        value = ran.value

        def write(connect: ConnectionSource) -> str:
            return paths.write(value, replace(job, _connect=connect))

        waits = commit_waits_s(job.job_id)
        while True:
            try:
                done = self._ledger.commit(claim, paths.effects, write, self._clock.now())
            except LedgerUnreachable as error:
                pause = next(waits, None)
                if pause is None:
                    return self._uncommitted(paths, job, value, error)
                self._clock.sleep(pause)
                continue
            except (Exception, SystemExit) as error:
                return self._path_failed(paths, job, claim, error)
            if isinstance(done, Committed):
                result = paths.read(done.result)
                return Done(result, ran=None if claim.fell_back else ran)
            if done is Refusal.KILLED:
                return self._hand_over(job, claim.attempt, Reason.FENCED, None)
            return Dropped(done)

    def _uncommitted(self, paths: Paths, job: Job, value: Any, error: LedgerUnreachable) -> Outcome:
        """The ledger stayed away: nothing runs its commit hook unfenced.

        The row says started, so the sweeper sends the job again when the ledger is back. A path
        that does not need the ledger gives its caller the value already.
        """
        if paths.effects.needs_ledger or job.path is JobPath.CONCURRENT:
            log.warning("not committed, the sweeper will send it", job=job.job_id, why=str(error))
            return Dropped(Refusal.STALE)
        return Done(value)

    def _path_failed(self, paths: Paths, job: Job, claim: Claim, error: BaseException) -> Outcome:
        said = describe(error)
        if claim.path is JobPath.CONCURRENT and paths.effects.repeatable:
            slow = type(error).__name__ == "SoftTimeLimitExceeded"
            reason = Reason.TIME_LIMIT if slow else Reason.FAILED
            return self._hand_over(job, claim.attempt, reason, said)
        if paths.hurt:
            # A drill may cost a job time, never its outcome: legacy runs it again.
            return self._hand_over(job, claim.attempt, Reason.DRILL, said)
        held = self._record_failure(job, claim, said)
        return Failed(error) if held else Dropped(Refusal.STALE)

    def _record_failure(self, job: Job, claim: Claim, said: str) -> bool:
        """Keep the job as failed; False when another attempt holds it."""
        try:
            return self._patiently(
                job.job_id,
                lambda: self._ledger.fail(job.job_id, claim.attempt, None, said, self._clock.now()),
            )
        except LedgerUnreachable:
            return True  # the caller hears of the failure; the sweeper will try the job again

    def _patiently(self, job_id: str, call: Callable[[], _T]) -> _T:
        """Call the ledger, and again while it is away, as often as a commit is tried."""
        for pause in commit_waits_s(job_id):
            try:
                return call()
            except LedgerUnreachable:
                self._clock.sleep(pause)
        return call()

    def _turn_away(self, job: Job, reason: Reason) -> Outcome:
        """Send a job that has not started to legacy."""
        return self._hand_over(job, None, reason, None)

    def _hand_over(
        self, job: Job, attempt: int | None, reason: Reason, error: str | None
    ) -> Outcome:
        """Move the job to legacy; whoever moves it sends it, so it is sent once."""

        def move() -> bool | None:
            return self._ledger.hand_over(job.job_id, attempt, reason, error, self._clock.now())

        try:
            # A job that has run is worth the wait: until it is moved its message would be dropped.
            moved = move() if attempt is None else self._patiently(job.job_id, move)
        except LedgerUnreachable:
            return ToLegacy(reason)
        if moved is None or moved:  # None: the ledger does not hold the job yet
            return ToLegacy(reason, recorded=bool(moved))
        return Dropped(Refusal.MOVED if attempt is None else Refusal.STALE)

    def _without_ledger(self, paths: Paths, job: Job, error: LedgerUnreachable) -> Outcome:
        """The ledger cannot record a start: legacy runs as before where a repeat does no harm."""
        if job.path is JobPath.CONCURRENT:
            return ToLegacy(Reason.LEDGER_UNREACHABLE)
        if paths.effects.needs_ledger:
            return Wait(error)
        log.warning("ran on legacy without a claim", job=job.job_id, why=str(error))
        try:
            return Done(paths.read(paths.write(paths.call(JobPath.LEGACY, job), job)))
        except self._passes:
            raise
        except (Exception, SystemExit) as failure:
            return Failed(failure)


def _why_not(reading: Reading, key: str) -> Reason | None:
    """Why a concurrent start may not go on; None lets it."""
    decision = RouteTable(reading).decide(key)
    return None if decision.path is JobPath.CONCURRENT else decision.reason


def _uncopied(made: Outcome) -> Outcome:
    return replace(made, ran=None) if isinstance(made, Done) else made


def _outcome_of(paths: Paths, record: JobRecord) -> Outcome:
    """The recorded outcome of a job whose message came again."""
    if record.result is not None:
        return Done(paths.read(record.result), duplicate=True)
    return Failed(JobFailed(record.job_id, record.error or "no error was recorded"))


def describe(error: BaseException) -> str:
    """One line on an exception, short enough to keep, in characters every database takes."""
    said = f"{type(error).__name__}: {error}"[:2000]
    plain = said.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()
    return plain[:2000]
