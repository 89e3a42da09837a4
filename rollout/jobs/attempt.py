"""One delivery of one job: gate, claim, run, commit; or what becomes of it instead.

This is the way that every job takes, in a Celery worker and in `SubPipeline.run` alike. The
caller hands in a delivery and carries out the outcome; it decides nothing.

    gate    a concurrent start asks the control store; any answer but a clear yes is legacy
    claim   the ledger gives the attempt its number, and says no once a kill has passed
    run     an error on the concurrent path hands the job to legacy; on legacy it is kept
    commit  hook, fence, attempt and row in one transaction
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta

from rollout.errors import JobFailed, LedgerUnreachable, UnknownJob
from rollout.jobs.claims import DEATHS_MAX, Claim, JobState, Refusal
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
    Withdrawn,
)
from rollout.jobs.ending import Endings, outcome_of
from rollout.jobs.interference import Interference
from rollout.jobs.interrupts import INTERRUPTS
from rollout.jobs.kill_watch import KillWatch
from rollout.jobs.order import OnFailure, Place
from rollout.jobs.outcomes import FORGOTTEN
from rollout.jobs.ports import Committed, Filing, Job, JobLedger, Refused
from rollout.jobs.resources import Need
from rollout.log import log
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath, Reason
from rollout.routing.ports import ControlStore
from rollout.routing.rule import Planted, Reading, RouteTable, plan_in_force


class Attempts(Endings):
    """Runs deliveries.

    Args:
        control: Asked once per concurrent start.
        ledger: Claims and commits.
        clock: Time, and pauses between tries to commit.
        silent_after: A started job not heard of for this long may be claimed again.
        passes: Exceptions that belong to the queue engine (a retry, say) and are raised through.
        forgets: Those among them by which a path tells the queue engine to forget the job: it has
            done what it was to do, and there is no result.
        sent_back: Says which of these give the message back to the queue, to be run again.
        sent_again: Says which of these come after another message of the job, which goes on by it.
        ends_run: Says what ends this process, or its task, from outside: whatever it interrupts,
            nothing of the job's is to blame for it.
        interference: What breaks jobs on purpose; None leaves every job alone.
    """

    def __init__(
        self,
        control: ControlStore,
        ledger: JobLedger,
        clock: Clock,
        silent_after: timedelta,
        passes: tuple[type[BaseException], ...] = (),
        forgets: tuple[type[BaseException], ...] = (),
        interference: Interference | None = None,
        sent_back: Callable[[BaseException], bool] = lambda said: False,
        sent_again: Callable[[BaseException], bool] = lambda said: False,
        ends_run: Callable[[BaseException], bool] = lambda said: False,
    ) -> None:
        self._control = control
        self._interference = interference
        self._ledger = ledger
        self._clock = clock
        self._silent_after = silent_after
        self._passes = passes
        self._forgets = forgets
        self._sent_back = sent_back
        self._sent_again = sent_again
        self._ends_run = ends_run

    def run(self, paths: Paths, delivery: Delivery) -> Outcome:
        """Take one delivery as far as it goes.

        Raises only what `passes` names, and what ends the run.
        """
        job, reading = delivery.job, None
        if job.path is JobPath.CONCURRENT:
            reading = self._control.read(job.name)
            reason = _why_not(reading, job.key)
            if reason is not None:
                return self._turn_away(paths, job, reason)
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
            return self._turn_away(paths, delivery.job, met.turned_away)
        behind = self if met.ledger is self._ledger else self._with(met.ledger)
        return behind._start(met.paths, delivery)

    def _with(self, ledger: JobLedger) -> "Attempts":
        """The same attempts, claimed and committed by another ledger."""
        return Attempts(
            self._control,
            ledger,
            self._clock,
            self._silent_after,
            self._passes,
            self._forgets,
            sent_back=self._sent_back,
            sent_again=self._sent_again,
            ends_run=self._ends_run,
        )

    def _start(self, paths: Paths, delivery: Delivery) -> Outcome:
        """Claim the job and run its path, or say what becomes of it instead."""
        job = delivery.job
        if delivery.on_failure is not None:
            early = self._early(paths, delivery, delivery.on_failure)
            if early is not None:
                return early
        try:
            claim = self._claim(paths, delivery, delivery.needs)
        except LedgerUnreachable as error:
            if delivery.needs:
                return Wait(error)  # nobody knows what is taken
            return self._without_ledger(paths, job, error)
        if isinstance(claim, Refused):
            return self._refused(paths, job, claim)
        return self._claimed(paths, delivery, claim)

    def _early(self, paths: Paths, delivery: Delivery, on_failure: OnFailure) -> Outcome | None:
        """Have the job wait while one of its key is in front; None lets it start."""
        job = delivery.job
        place = Place(paths.name, job.key, job.job_id, on_failure)
        try:
            try:
                behind = self._ledger.stands_behind(place, self._clock.now())
            except UnknownJob:
                if not self._file(paths, delivery):
                    return Dropped(Refusal.FORGOTTEN)
                behind = self._ledger.stands_behind(place, self._clock.now())
        except LedgerUnreachable as error:
            return Wait(error)  # nobody knows who is in front
        return None if behind is None else Dropped(Refusal.EARLY)

    def worker_lost(self, paths: Paths, job: Job, worker: str, reason: Reason) -> Outcome:
        """Say what becomes of a job whose worker process has just died or been stopped.

        Called by the process that saw it, so that nothing waits for a redelivery. `worker` is
        the one that died; if another has the job by now, that one keeps it.
        """
        try:
            record = self._ledger.job(job.name, job.job_id)
        except (LedgerUnreachable, UnknownJob):
            return ToLegacy(reason)
        if record.state is JobState.ACCEPTED:
            if record.path is JobPath.CONCURRENT:
                return self._turn_away(paths, job, reason)
            return ToLegacy(reason)
        if record.state.finished:
            return outcome_of(paths, record)
        if record.worker != worker:
            return Dropped(Refusal.STALE)
        if not paths.effects.repeatable:
            return self._keep(job, record, Refusal.UNSAFE_REPEAT)
        if reason is Reason.TIME_LIMIT and record.path is JobPath.LEGACY:
            if record.drill is not None and record.moved_reason is not Reason.DRILL:
                return self._hand_over(paths, job, record, Reason.DRILL, None)
            # Legacy's own limit is legacy's failure, as it was without rollout.
            return self._keep(job, record, Refusal.TIME_LIMIT)
        if record.deaths + 1 >= DEATHS_MAX:
            return self._keep(job, record, Refusal.POISON)
        return self._hand_over(paths, job, record, reason, None)

    def hand_back(self, paths: Paths, job: Job, workers: Collection[str]) -> Outcome | None:
        """Say what becomes of a running job whose worker has no more time; None lets it run.

        `workers` are the names that its process may have claimed it by: a job that another worker
        has taken over by now is that one's.
        """
        try:
            record = self._ledger.job(job.name, job.job_id)
        except (LedgerUnreachable, UnknownJob):
            return None
        if record.state is not JobState.STARTED or record.worker not in workers:
            return None
        if not paths.effects.repeatable:
            return None
        return self._hand_over(paths, job, record, Reason.STOPPED, None)

    def _claim(
        self, paths: Paths, delivery: Delivery, needs: Sequence[Need] = ()
    ) -> Claim | Refused:
        """Claim a job, filed first where it has no row; what has run already needs nothing more."""
        for _ in range(2):
            claim = self._ledger.claim(
                paths.name,
                delivery.job.job_id,
                delivery.job.path,
                paths.effects,
                delivery.worker,
                self._clock.now(),
                self._silent_after,
                needs,
            )
            if not isinstance(claim, Refused) or claim.refusal is not Refusal.UNFILED:
                return claim
            if not self._file(paths, delivery):
                return Refused(Refusal.FORGOTTEN, None)
        return claim

    def _file(self, paths: Paths, delivery: Delivery) -> bool:
        """File a job that the ledger does not hold; False when it may have been pruned."""
        filing = delivery.filing()
        if self._is_forgotten(filing):
            return False
        self._ledger.ensure(paths.name, paths.effects, paths.holdback_bp, self._clock.now())
        self._ledger.file([filing])
        return True

    def _is_forgotten(self, filing: Filing) -> bool:
        """Whether the job may have had its outcome, and been pruned since.

        A job that the ledger never had, or lost in a failover, is younger than that.
        """
        pruned_before = self._ledger.pruned_before()
        return pruned_before is not None and filing.at < pruned_before

    def _claimed(self, paths: Paths, delivery: Delivery, claim: Claim) -> Outcome:
        job = replace(delivery.job, attempt=claim.attempt)
        if claim.path is JobPath.CONCURRENT:
            job = replace(job, _goes_on=KillWatch(self._control, self._clock, job.name))
        began = self._clock.monotonic()
        try:
            value = paths.call(claim.path, job)
        except self._forgets as said:
            if self._sent_again(said):
                raise
            if self._sent_back(said):
                self._release(delivery, claim)
                raise
            return self._forget(paths, delivery, claim, said)
        except (*self._passes, *INTERRUPTS):
            raise
        except Withdrawn:
            if paths.effects.repeatable:
                return self._hand_over(paths, job, claim, Reason.FENCED, None)
            stopped = JobFailed(job.job_id, "a kill stopped this unsafe job half-way")
            return self._path_failed(paths, delivery, claim, stopped)
        except BaseException as error:
            if self._ends_run(error):
                raise
            return self._path_failed(paths, delivery, claim, error)
        return self._commit(paths, delivery, claim, PathRun(value, self._clock.monotonic() - began))

    def _release(self, delivery: Delivery, claim: Claim) -> None:
        """The path gave its message back: the job waits again, on the path it came by."""
        filing = replace(delivery.filing(), path=claim.path)
        try:
            self._ledger.release(filing, claim.attempt)
        except LedgerUnreachable as error:
            log.warning("not released, waits until silent", job=claim.job_id, why=str(error))

    def _forget(
        self, paths: Paths, delivery: Delivery, claim: Claim, said: BaseException
    ) -> Outcome:
        """The path told the queue engine to forget its job: it is over, and has no result."""
        job = replace(delivery.job, attempt=claim.attempt)

        def commit() -> Committed | Refusal:
            return self._ledger.commit(
                claim, paths.effects, lambda connect: FORGOTTEN, self._clock.now()
            )

        try:
            done = self._patiently(job.job_id, commit)
            if done is Refusal.UNFILED:  # the row has gone, and with it that the job was there
                again = self._claim(paths, delivery)
                if isinstance(again, Refused):
                    return self._refused(paths, job, again)
                claim = again
                done = self._patiently(job.job_id, commit)
                if done is Refusal.UNFILED:
                    return self._gone()
        except LedgerUnreachable as error:
            log.warning("not known to be over", job=job.job_id, why=str(error))
            raise said from None
        if done is Refusal.KILLED:
            return self._hand_over(paths, job, claim, Reason.FENCED, None)
        raise said

    def _without_ledger(self, paths: Paths, job: Job, error: LedgerUnreachable) -> Outcome:
        """The ledger cannot record a start: legacy runs as before where a repeat does no harm."""
        if job.path is JobPath.CONCURRENT:
            return ToLegacy(Reason.LEDGER_UNREACHABLE)
        if paths.effects.needs_ledger:
            return Wait(error)
        log.warning("ran on legacy without a claim", job=job.job_id, why=str(error))
        try:
            value = paths.call(JobPath.LEGACY, job)
            paths.write(value, job)  # what could not be kept is an error here as well
            return Done(value)
        except (*self._passes, *INTERRUPTS):
            raise
        except BaseException as failure:
            if self._ends_run(failure):
                raise
            return Failed(failure)


def _why_not(reading: Reading, key: str) -> Reason | None:
    """Why a concurrent start may not go on; None lets it."""
    decision = RouteTable(reading).decide(key)
    return None if decision.path is JobPath.CONCURRENT else decision.reason


def _uncopied(outcome: Outcome) -> Outcome:
    return replace(outcome, ran=None) if isinstance(outcome, Done) else outcome
