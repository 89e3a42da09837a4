"""Submit: decide the path and put the job into the ledger before its message leaves."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from rollout.errors import AlreadyFinished, JobIdUnusable, LedgerUnreachable, StaleAttempt
from rollout.jobs.order import OnFailure, Place
from rollout.jobs.ports import Filing, JobLedger
from rollout.log import log
from rollout.routing.clock import Clock
from rollout.routing.decision import Decision, JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.router import Router

JOB_ID_MAX = 191
"""Characters of a job's id, as the ledger's columns have it."""
UNFILED = Decision(JobPath.LEGACY, Reason.UNFILED, -1)
LATER_MAX = 10_000
"""Unfiled jobs that a process remembers; of more, the oldest are left to their workers."""
_AT_ONCE = 500
_TOLD_EACH_S = 10.0
"""A ledger that is away is told of this often: with a line for each job it would fill the log."""


def check_job_id(name: str, job_id: str) -> None:
    """Raise JobIdUnusable for an id that not every ledger holds."""
    halves = not job_id.isascii() and any("\ud800" <= one <= "\udfff" for one in job_id)
    if halves or "\x00" in job_id or not 0 < len(job_id) <= JOB_ID_MAX:
        raise JobIdUnusable(name, job_id, JOB_ID_MAX)


class Submit:
    """The way into the system: ledger row first, message second.

    If the message is lost after the row, the sweeper sends it again; if the ledger is away, the
    job goes to legacy unfiled, and whoever reaches the ledger first files it: its worker, or this
    process with its next submission.
    """

    def __init__(self, router: Router, ledger: JobLedger, clock: Clock) -> None:
        self._router = router
        self._ledger = ledger
        self._clock = clock
        self._ensured: set[str] = set()
        self._unfiled: deque[Filing] = deque(maxlen=LATER_MAX)
        self._untold: dict[str, int] = {}
        self._told_at: dict[str, float] = {}

    def now(self) -> datetime:
        """Aware UTC time of this submission."""
        return self._clock.now()

    def decide(self, name: str, key: str) -> Decision:
        """Say where the job goes; the gate asks again at its start."""
        return self._router.decide(name, key)

    def ensure(self, name: str, effects: Effects, holdback_bp: int) -> None:
        """Create the control row once per process. Raises LedgerUnreachable."""
        if name not in self._ensured:
            self._ledger.ensure(name, effects, holdback_bp, self._clock.now())
            self._ensured.add(name)

    def file(
        self,
        name: str,
        effects: Effects,
        holdback_bp: int,
        filings: Sequence[Filing],
        *,
        outcome_will_do: bool = False,
        on_failure: OnFailure | None = None,
    ) -> bool:
        """Record jobs of one sub-pipeline; False when the ledger is away (told in the log).

        Args:
            outcome_will_do: An outcome that is there is the answer: the caller gets it, or Celery
                sends a link or a step of a chain again because a task's message came again.
            on_failure: Where jobs of a key start in order, what one that fails does with the rest.

        Raises:
            AlreadyFinished: A job of this id has its outcome, and this call would not run it.
            JobIdUnusable: The ledger cannot hold an id; nothing was recorded.
        """
        for one in filings:
            check_job_id(name, one.job_id)
        try:
            self.ensure(name, effects, holdback_bp)
            finished = self._ledger.file(filings)
            if on_failure is not None:
                self._ledger.line_up(
                    [
                        Place(one.name, one.key, one.job_id, on_failure)
                        for one in filings
                        if (one.name, one.job_id) not in finished
                    ]
                )
        except LedgerUnreachable as error:
            self._tell_unfiled(name, len(filings), error)
            return False
        if self._told_at:
            self._tell_filed(name)
        if self._unfiled:
            self._file_remembered()
        for _, job_id in sorted(finished):
            if not outcome_will_do:
                raise AlreadyFinished(name, job_id)
            log.warning("sent again by a task, has its outcome, not run", name=name, job=job_id)
        return True

    def _tell_unfiled(self, name: str, jobs: int, error: LedgerUnreachable) -> None:
        """Log the first job of an outage at once, and then the number of the others."""
        now, jobs = self._clock.monotonic(), self._untold.get(name, 0) + jobs
        if now - self._told_at.get(name, -_TOLD_EACH_S) < _TOLD_EACH_S:
            self._untold[name] = jobs
            return
        log.warning("jobs go to legacy unfiled", name=name, jobs=jobs, why=str(error))
        self._untold[name], self._told_at[name] = 0, now

    def _tell_filed(self, name: str) -> None:
        """Log that an outage of the ledger is over, with the jobs that no line has counted yet."""
        if self._told_at.pop(name, None) is not None:
            log.warning("jobs are filed again", name=name, unfiled=self._untold.pop(name, 0))

    def remember(self, effects: Effects, filings: Sequence[Filing]) -> None:
        """Remember jobs whose messages have left unfiled, for the next submission to file.

        Until then the broker alone knows them, and it forgets: a Redis, as Celery reads it, loses
        the message that a worker had just taken when it was killed. A job that may run without
        the ledger is not remembered: it may have its outcome by then, and would run again.
        """
        if effects.needs_ledger:
            self._unfiled += [
                replace(one, path=UNFILED.path, reason=UNFILED.reason, revision=UNFILED.revision)
                for one in filings
            ]

    def _file_remembered(self) -> None:
        """File what the ledger did not take; a row that a worker has made since stays as it is."""
        later = list[Filing]()
        with suppress(IndexError):  # another thread of the producer's takes from it, too
            while len(later) < _AT_ONCE:
                later.append(self._unfiled.popleft())
        try:
            pruned_before = self._ledger.pruned_before()
            # An older one may have had its outcome, and been pruned since.
            young = [one for one in later if pruned_before is None or one.at >= pruned_before]
            if young:
                self._ledger.file(young)
        except LedgerUnreachable as error:
            self._unfiled.extendleft(reversed(later))
            log.warning("unfiled jobs are still unfiled", jobs=len(later), why=str(error))

    def release(self, filing: Filing, attempt: int) -> bool:
        """Record that a started job will be tried again with a new message.

        False when the ledger is away, and the message is all there is of the retry.

        Raises:
            StaleAttempt: Another attempt has the job by now; there is nothing to try again.
        """
        try:
            released = self._ledger.release(filing, attempt)
            if released is None:  # its row has gone: the retry's message would find nothing
                self._ledger.file([filing])
                return True
        except LedgerUnreachable as error:
            log.warning("retry not recorded", job=filing.job_id, why=str(error))
            return False
        if not released:
            raise StaleAttempt(filing.job_id, attempt)
        return True
