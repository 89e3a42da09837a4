"""What a path cannot catch, seen by the worker's main process: a dead child, a hard time limit.

Without this the job would wait for the broker to deliver it again; with it legacy has the job as
soon as the death is noticed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry
from celery.worker import state
from celery.worker.state import revoked as revoked_tasks
from celery.worker.state import task_ready

from rollout.adapters.celery.deliveries import job_of, worker_of
from rollout.adapters.celery.marks import job_id_of
from rollout.adapters.celery.outcomes import carry_out
from rollout.errors import LedgerUnreachable, UnknownJob
from rollout.jobs.claims import UNCLAIMED, JobState
from rollout.jobs.delivery import Done, Failed
from rollout.log import log
from rollout.routing.decision import Reason

if TYPE_CHECKING:
    from celery.worker.request import Request as Theirs
else:
    Theirs = object


class SubPipelineRequest(Theirs):
    """Sends a job to legacy when its process is lost; stands before the task's own request."""

    _taken_care_of = False

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """Handle the end of a job whose path raised, or whose process is gone."""
        with _next_stays_known(self):
            return self._ended(exc_info, send_failed_event, return_ok)

    def _ended(self, exc_info: Any, send_failed_event: bool, return_ok: bool) -> Any:
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if isinstance(error, (Ignore, Reject, Retry)):
            # What a delivery says to Celery, which calls it internal, too: requeued here, a
            # duplicate of a finished job would be delivered again at once, and for ever.
            return super().on_failure(exc_info, send_failed_event, return_ok)
        if isinstance(error, TimeLimitExceeded):
            reason = Reason.TIME_LIMIT
        elif isinstance(error, (WorkerLostError, SystemExit)):
            reason = Reason.WORKER_LOST
        elif _is_celerys(exc_info, error, return_ok) and self._has_its_outcome():
            # The path is not to blame: the result backend was away after the commit, say. Celery
            # calls that internal, or lets it out of the child where it could not store that either.
            # The next delivery finds the outcome in the ledger and tells it.
            task_ready(self)
            self.reject(requeue=True)
            return None
        else:
            return super().on_failure(exc_info, send_failed_event, return_ok)
        if self._already_cancelled or self._already_revoked or self._taken_care_of:
            return super().on_failure(exc_info, send_failed_event, return_ok)
        return self._lost(reason, exc_info, send_failed_event)

    def _has_its_outcome(self) -> bool:
        """Whether the ledger says that the job is over; what failed then came after it."""
        pipeline = self.task.rollout
        try:
            job_id = job_id_of(self.request_dict, self.id)
            return bool(pipeline.ledger.job(pipeline.name, job_id).state.finished)
        except (LedgerUnreachable, UnknownJob):
            return False

    def maybe_expire(self) -> Any:
        """Expire a message whose time is over, unless its job has started within that time.

        What `expires` bounds is the start. Legacy runs a job that the concurrent path has begun,
        and one that a person sends again, as it would have run it without rollout.
        """
        revoked = self.id in revoked_tasks
        if not super().maybe_expire():
            return None
        if not self._has_started_in_time():
            return True
        if not revoked:
            revoked_tasks.discard(self.id)  # Celery has just noted it there
        return None

    def _has_started_in_time(self) -> bool:
        pipeline = self.task.rollout
        try:
            record = pipeline.ledger.job(pipeline.name, job_id_of(self.request_dict, self.id))
        except (LedgerUnreachable, UnknownJob):
            return False
        if record.attempt == UNCLAIMED:
            return False
        # A retry is a start of its own, to Celery: it may come too late.
        waits_for_retry = self.request_dict.get("retries") or record.moved_reason is None
        return record.state is not JobState.ACCEPTED or not waits_for_retry

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Skip Celery's own failure for a hard limit that `on_failure` has dealt with."""
        if soft or not self._taken_care_of:
            super().on_timeout(soft, timeout)

    def _lost(self, reason: Reason, exc_info: Any, send_failed_event: bool) -> Any:
        context = self._context
        task = self.task
        job = job_of(task.rollout, context)
        if job is None:
            return super().on_failure(exc_info, send_failed_event)
        worker = worker_of(context, self.worker_pid)
        log.warning("worker process lost", job=self.id, worker=worker, reason=str(reason))
        try:
            outcome = task.rollout.attempts.worker_lost(task.rollout, job, worker, reason)
        except LedgerUnreachable as error:
            log.error("ledger away, the job is delivered again", job=self.id, why=str(error))
            outcome = None
        if task.rollout.needs:
            task.rollout.resource_calls.given_back(task.rollout.needs)
        if isinstance(outcome, Failed):
            # Legacy's own failure, with all that Celery makes of it.
            return super().on_failure(exc_info, send_failed_event)
        self._taken_care_of = True
        task_ready(self)
        if outcome is None or isinstance(outcome, Done):
            # It died after its commit, before the result and the links: the next delivery finds
            # the outcome in the ledger and tells it.
            self.reject(requeue=True)
            return None
        try:
            carry_out(task, context, outcome)
        except Ignore:
            self.acknowledge()
        except Reject:
            self.reject(requeue=True)
        except Exception as error:
            # Not acknowledged: the broker or the sweeper delivers the job again.
            log.error("could not hand over a lost job", job=self.id, why=str(error))
            self.reject(requeue=True)
        else:
            self.acknowledge()
        return None


@contextmanager
def _next_stays_known(ended: Any) -> Iterator[None]:
    """Keep the job's next message among those that a revoke finds.

    Celery forgets a request by its job's id. Where one worker serves both queues, what was handed
    to legacy may have begun there before the delivery that handed it over has ended here.
    """
    known = state.requests.get(ended.id)
    try:
        yield
    finally:
        if known is not None and known is not ended and known in state.reserved_requests:
            state.requests[ended.id] = known


def _is_celerys(exc_info: Any, error: BaseException, return_ok: bool) -> bool:
    """Whether Celery itself failed; what is no `Exception` comes out of a path that way, too."""
    return bool(exc_info.internal) or (not return_ok and isinstance(error, Exception))
