"""Submit: decide the path and put the job into the ledger before its message leaves."""

from collections.abc import Sequence
from datetime import datetime

import structlog

from rollout.errors import LedgerUnreachable, StaleAttempt
from rollout.jobs.ports import Filing, Ledger
from rollout.routing.clock import Clock
from rollout.routing.decision import Decision, JobPath, Reason
from rollout.routing.effects import Effects
from rollout.routing.router import Router

log = structlog.get_logger("rollout")

UNFILED = Decision(JobPath.LEGACY, Reason.UNFILED, -1)


class Submit:
    """The way into the system: ledger row first, message second.

    If the message is lost after the row, the sweeper sends it again; if the ledger is away, the
    job goes to legacy unfiled and its worker files it.
    """

    def __init__(self, router: Router, ledger: Ledger, clock: Clock) -> None:
        self._router = router
        self._ledger = ledger
        self._clock = clock
        self._ensured: set[str] = set()

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
        self, name: str, effects: Effects, holdback_bp: int, filings: Sequence[Filing]
    ) -> bool:
        """Record jobs of one sub-pipeline; False when the ledger is away (counted in the log)."""
        try:
            self.ensure(name, effects, holdback_bp)
            self._ledger.file(filings)
        except LedgerUnreachable as error:
            log.warning("jobs go to legacy unfiled", name=name, jobs=len(filings), why=str(error))
            return False
        return True

    def release(self, filing: Filing, attempt: int) -> bool:
        """Record that a started job will be tried again with a new message.

        False when the ledger is away, and the message is all there is of the retry.

        Raises:
            StaleAttempt: Another attempt has the job by now; there is nothing to try again.
        """
        try:
            released = self._ledger.release(filing, attempt)
        except LedgerUnreachable as error:
            log.warning("retry not recorded", job=filing.job_id, why=str(error))
            return False
        if not released:
            raise StaleAttempt(filing.job_id, attempt)
        return True
