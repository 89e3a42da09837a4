"""The Celery task of a sub-pipeline: carries out what `jobs.attempt` says of a delivery.

It stands before the task's own class: Celery calls `__call__` here, and that calls the user's own
`__call__` (or `run`) for the path. What a body says to Celery (retry, ignore, reject, replace) is
passed on to Celery. The class has one public name of its own, because each would hide one of the
user's class.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from billiard import current_process
from celery import states
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded

from rollout.adapters.celery.copies import offer_copy, run_to_copy
from rollout.adapters.celery.declaration import Declared
from rollout.adapters.celery.deliveries import filing_of, job_of, worker_of
from rollout.adapters.celery.marks import (
    HEADER,
    is_drilled,
    job_id_of,
    read_marks,
)
from rollout.adapters.celery.outcomes import carry_out, route_late, tell_again
from rollout.adapters.celery.path_runs import DeliveredRun, DirectRun
from rollout.adapters.celery.unusable import kept_if_unusable
from rollout.errors import LedgerUnreachable, words_of
from rollout.jobs.attempt import Attempts
from rollout.jobs.claims import Refusal
from rollout.jobs.delivery import Delivery, Dropped, Outcome, Wait
from rollout.jobs.interrupts import ProcessEnds
from rollout.jobs.ports import Filing, Job
from rollout.log import log
from rollout.routing.decision import Reason

_Value = TypeVar("_Value")

PASSES: tuple[type[BaseException], ...] = (Ignore, Reject, Retry)
"""By these a path says to Celery what becomes of its job: it is forgotten, but for a retry."""


def is_sent_back(error: BaseException) -> bool:
    """Whether a path gave its message back to the queue, to be run again."""
    return isinstance(error, Reject) and bool(error.requeue)


def is_sent_again(error: BaseException) -> bool:
    """Whether a path has sent the job's next message; one that raises `Retry` by hand has not."""
    return isinstance(error, Retry) and error.sig is not None


if TYPE_CHECKING:
    from celery import Task as Theirs
else:
    Theirs = object


class SubPipelineTask(Theirs):
    """Runs one delivery on the path of the queue it came by."""

    rollout: Declared
    """What was declared; the one public name of the class that is no name of Celery's."""
    # A message is acknowledged when its outcome is recorded, so a dead worker loses none.
    acks_late = True
    # Rollout's own request class decides about lost workers; Celery's own requeueing would send
    # the job to the same path again.
    reject_on_worker_lost = False
    retry_on_worker_lost = False
    serializer = "json"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run a delivery, or the whole way when called directly or eagerly."""
        request = self.request
        if request.called_directly or getattr(request, "rollout_begun", False):
            # Also a body that calls its own task, and an errback that Celery calls in place: the
            # request is the running job's then, and this is another one.
            return self.rollout.run_here("", args, kwargs, DirectRun(self))
        request.rollout_begun = True
        if request.is_eager:
            return self._rollout_eagerly(request, args, kwargs)
        with kept_if_unusable(self.rollout, request, self.rollout.submit.now):
            job = job_of(self.rollout, request)
        if job is None:
            with kept_if_unusable(self.rollout, request, self.rollout.submit.now):
                return route_late(self, request)
        return self._rollout_deliver(request, job)

    def _rollout_deliver(self, request: Any, job: Job) -> Any:
        """Take a delivery as far as it goes, and carry out what becomes of it."""

        def filing() -> Filing:
            with kept_if_unusable(self.rollout, request, self.rollout.submit.now):
                return filing_of(self, request, job, kept=run.has_begun)

        delivery = Delivery(
            job,
            worker_of(request),
            filing,
            is_drilled(vars(request)),
            is_pool_child(),
            self.rollout.on_failure,
            self.rollout.needs,
        )
        began, run = time.monotonic(), DeliveredRun(self, request)
        outcome: Outcome | None = None
        try:
            outcome = self.rollout.attempts.run(run, delivery)
        except ProcessEnds as ends:
            raise ends.asked from None
        except SoftTimeLimitExceeded:
            # It struck beside the path, in an act of ours: the row says how far that came.
            outcome = _after_its_limit(self.rollout.attempts, run, delivery)
        finally:
            # Also when the path tells Celery to forget its job; who died is swept for.
            _despite_the_limit(partial(self._rollout_call_others, delivery, outcome))
        return _despite_the_limit(partial(self._rollout_tell, request, outcome, began))

    def _rollout_tell(self, request: Any, outcome: Outcome, began: float) -> Any:
        """Carry out what became of the delivery."""
        request.rollout_ran = run_to_copy(self, request, outcome), began
        return carry_out(self, request, outcome)

    def _rollout_call_others(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """Let jobs start that waited for this one's turn, or for what it held.

        What goes wrong with another job is not this one's failure; the controller calls it then.
        """
        try:
            if delivery.on_failure is not None:
                self.rollout.key_order.send_next(delivery.job.name, delivery.job.key)
            if delivery.needs and outcome != Dropped(Refusal.TAKEN):
                self.rollout.resource_calls.given_back(delivery.needs)
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:
            log.error("others were not called", job=delivery.job.job_id, why=words_of(error))

    def _rollout_eagerly(
        self, request: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        def start_anew() -> None:
            request.retries = 0  # legacy has the retries that it has without rollout

        job_id = job_id_of(vars(request), request.id)
        run = DeliveredRun(self, request)
        return self.rollout.run_here(job_id, args, kwargs, run, start_anew, (Retry,))

    def _behind_rollout(self) -> Callable[..., Any]:
        """What Celery would call if rollout were not there."""
        behind: Callable[..., Any] = super().__call__
        return behind

    # What Celery asks a task -----------------------------------------------------------------

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Call the user's own, then offer the job for a shadow."""
        super().after_return(status, retval, task_id, args, kwargs, einfo)
        if status == states.SUCCESS:
            offer_copy(self, task_id)

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Call the user's own, after a look whether the retry is over already."""
        tell_again(self, self.request)
        super().on_retry(exc, task_id, args, kwargs, einfo)

    def signature_from_request(
        self,
        request: Any = None,
        args: Any = None,
        kwargs: Any = None,
        queue: Any = None,
        **options: Any,
    ) -> Any:
        """Celery's own way to a retry; the job's marks go along."""
        request = self.request if request is None else request
        marks = read_marks(vars(request), request.id)
        if marks is not None:
            headers = options.get("headers", request.headers) or {}
            options["headers"] = {**headers, HEADER: marks.header()}
        return super().signature_from_request(request, args, kwargs, queue, **options)

    # The same as its sub-pipeline --------------------------------------------------------------

    @property
    def __func__(self) -> Any:
        """What Celery's signals know a sender by: `connect(sender=bill)` is heard of the task."""
        return self.rollout

    def __hash__(self) -> int:
        """As the sub-pipeline's, which equals its task."""
        return hash(self.rollout)


def _despite_the_limit(act: Callable[[], _Value]) -> _Value:
    """Do an act of ours; the soft limit strikes a job once, and what it cut off is done again.

    The job has its outcome by then: to let the limit out would tell its caller of a failure, and
    leave its message for legacy to the sweeper.
    """
    try:
        return act()
    except SoftTimeLimitExceeded:  # the outcome's own comes again
        return act()


def _after_its_limit(attempts: Attempts, run: DeliveredRun, delivery: Delivery) -> Outcome:
    try:
        return attempts.worker_lost(run, delivery.job, delivery.worker, Reason.TIME_LIMIT)
    except LedgerUnreachable as error:
        return Wait(error)


def is_pool_child() -> bool:
    """Whether this process is one of a prefork pool's children, which the pool replaces."""
    return bool(current_process().name != "MainProcess")
