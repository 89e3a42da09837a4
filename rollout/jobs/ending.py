"""What becomes of an attempt once it has run: committed, handed over, kept, or overtaken.

Each of these is one statement on the job's row whose answer may be lost. So it is tried again with
patience, and before an attempt says that another one has the job, the row is read: the outcome may
be its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from traceback import format_exception
from typing import Any, TypeVar

from rollout.errors import JobFailed, LedgerUnreachable, UnknownJob, words_of
from rollout.jobs.claims import Claim, JobRecord, JobState, Refusal, is_held_by
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
from rollout.jobs.interrupts import INTERRUPTS
from rollout.jobs.outcomes import FORGOTTEN, NOT_KEPT
from rollout.jobs.ports import Committed, ConnectionSource, Job, JobLedger, Refused
from rollout.jobs.resources import Need
from rollout.log import log
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath, Reason
from rollout.routing.rule import position

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


class Endings:
    """The last acts of an attempt; `Attempts` begins it."""

    _ledger: JobLedger
    _clock: Clock
    _ends_run: Callable[[BaseException], bool]

    def _claim(
        self, paths: Paths, delivery: Delivery, needs: Sequence[Need] = ()
    ) -> Claim | Refused:
        """Claim a job, filed first where it has no row."""
        raise NotImplementedError

    def _refused(self, paths: Paths, job: Job, refused: Refused) -> Outcome:
        record = refused.record
        match refused.refusal:
            case Refusal.KILLED:
                return self._turn_away(paths, job, Reason.KILLED)
            case Refusal.WORKER_LOST:
                assert record is not None, "only an unfiled job has no record"
                return self._hand_over(paths, job, record, Reason.WORKER_LOST, None)
            case Refusal.FINISHED:
                assert record is not None, "only an unfiled job has no record"
                return outcome_of(paths, record)
            case Refusal.POISON | Refusal.UNSAFE_REPEAT:
                assert record is not None, "only an unfiled job has no record"
                return self._keep(job, record, refused.refusal)
            case Refusal.UNFILED:
                return self._gone()
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
                job.name,
                job.job_id,
                record.attempt,
                Reason.WORKER_LOST,
                said,
                self._clock.now(),
                nonce=record.nonce,
            )
        except LedgerUnreachable as error:
            return Wait(error)
        if kept is None:
            return self._gone()
        return Failed(JobFailed(job.job_id, said)) if kept else Dropped(Refusal.STALE)

    def _gone(self) -> Outcome:
        """The row went in this very moment: the message is all there is, and comes again."""
        return Wait(LedgerUnreachable(self._ledger.url, LookupError("the job's row has gone")))

    def _commit(self, paths: Paths, delivery: Delivery, claim: Claim, ran: PathRun) -> Outcome:
        job, value = replace(delivery.job, attempt=claim.attempt), ran.value

        def write(connect: ConnectionSource) -> str:
            return paths.write(value, replace(job, _connect=connect))

        waits, in_doubt = commit_waits_s(job.job_id), False
        while True:
            try:
                if in_doubt and (settled := self._settled(paths, claim)) is not None:
                    return settled
                done = self._ledger.commit(claim, paths.effects, write, self._clock.now())
                if done is Refusal.UNFILED:  # the row has gone; what ran is not thrown away
                    again = self._claim(paths, delivery)
                    if isinstance(again, Refused):
                        return self._refused(paths, job, again)
                    claim, job = again, replace(job, attempt=again.attempt)
                    continue
            except LedgerUnreachable as error:
                in_doubt = True
                pause = next(waits, None)
                if pause is None:
                    return self._uncommitted(paths, job, value, error)
                self._clock.sleep(pause)
                continue
            except INTERRUPTS:
                raise
            except BaseException as error:
                if self._ends_run(error):
                    raise
                return self._path_failed(paths, delivery, claim, error)
            if isinstance(done, Committed):
                # Without a hook the caller gets the very object that the path returned.
                result = paths.read(done.result) if paths.effects.hooked else value
                return Done(result, ran=None if claim.fell_back else ran)
            if done is Refusal.KILLED:
                return self._hand_over(paths, job, claim, Reason.FENCED, None)
            return Dropped(done)

    def _settled(self, paths: Paths, claim: Claim) -> Outcome | None:
        """What became of a commit whose answer was lost; None when it has to be tried again.

        The row is judged before the hook runs a second time: a hook with a key of its own would
        meet its own row and take it for an error.
        """
        try:
            record = self._ledger.job(claim.name, claim.job_id)
        except UnknownJob:
            return None  # the commit says so, too
        if not is_held_by(record, claim):
            return Dropped(Refusal.STALE)
        if record.state.finished:
            return outcome_of(paths, record, duplicate=False)
        return None if record.state is JobState.STARTED else Dropped(Refusal.STALE)

    def _uncommitted(self, paths: Paths, job: Job, value: Any, error: LedgerUnreachable) -> Outcome:
        """The ledger stayed away: nothing runs its commit hook unfenced.

        The message comes again: the last try may have committed, and then it alone can tell the
        caller. If not, the row says started, and the sweeper sends the job again. A path that
        does not need the ledger gives its caller the value already.
        """
        if paths.effects.needs_ledger or job.path is JobPath.CONCURRENT:
            log.warning("not known to be committed", job=job.job_id, why=str(error))
            return Wait(error)
        return Done(value)

    def _path_failed(
        self, paths: Paths, delivery: Delivery, claim: Claim, error: BaseException
    ) -> Outcome:
        job, said = replace(delivery.job, attempt=claim.attempt), describe(error)
        log.warning(
            "the path failed",
            job=job.job_id,
            name=job.name,
            path=str(job.path),
            why=said,
            # Text, not exc_info: a renderer of structlog would print the job's arguments with it.
            exception="".join(format_exception(error)),
        )
        if claim.path is JobPath.CONCURRENT and paths.effects.repeatable:
            slow = type(error).__name__ == "SoftTimeLimitExceeded"
            reason = Reason.TIME_LIMIT if slow else Reason.FAILED
            return self._hand_over(paths, job, claim, reason, said)
        if paths.hurt:
            # A drill may cost a job time, never its outcome: legacy runs it again.
            return self._hand_over(paths, job, claim, Reason.DRILL, said)
        return self._keep_failure(paths, delivery, claim, error, said)

    def _keep_failure(
        self, paths: Paths, delivery: Delivery, claim: Claim, error: BaseException, sentence: str
    ) -> Outcome:
        """Keep the job as failed, and tell the caller what the ledger says in the end."""
        job_id = claim.job_id

        def fail() -> bool | None:
            return self._ledger.fail(
                claim.name,
                job_id,
                claim.attempt,
                None,
                sentence,
                self._clock.now(),
                nonce=claim.nonce,
            )

        try:
            held = self._patiently(job_id, fail)
            if held is None:  # the row has gone
                again = self._claim(paths, delivery)
                if isinstance(again, Refused):
                    return self._refused(paths, delivery.job, again)
                claim = again
                held = self._patiently(job_id, fail)
            if held is None:  # and again
                return self._gone()
            if held:
                return Failed(error)
            found = self._found_ended(paths, claim)
        except LedgerUnreachable as unreachable:
            return Wait(unreachable)  # the last try may have counted: the message tells it
        # A lost answer: the try before this one kept it.
        return Failed(error) if isinstance(found, Failed) else found or Dropped(Refusal.STALE)

    def _found_ended(self, paths: Paths, held: Claim | JobRecord) -> Outcome | None:
        """The outcome that this very attempt has made; None when it has made none."""
        try:
            record = self._ledger.job(held.name, held.job_id)
        except UnknownJob:
            return None
        mine = record.attempt == held.attempt and record.nonce == held.nonce
        return (
            outcome_of(paths, record, duplicate=False) if mine and record.state.finished else None
        )

    def _patiently(self, job_id: str, call: Callable[[], _T]) -> _T:
        """Call the ledger, and again while it is away, as often as a commit is tried."""
        for pause in commit_waits_s(job_id):
            try:
                return call()
            except LedgerUnreachable:
                self._clock.sleep(pause)
        return call()

    def _turn_away(self, paths: Paths, job: Job, reason: Reason) -> Outcome:
        """Send a job that has not started to legacy; whoever moves it sends it, so once."""
        try:
            moved = self._ledger.hand_over(
                job.name, job.job_id, None, reason, None, self._clock.now()
            )
            if moved is False:
                return self._ended_here(paths, job) or Dropped(Refusal.MOVED)
        except LedgerUnreachable:
            return ToLegacy(reason)
        return ToLegacy(reason, recorded=bool(moved))

    def _ended_here(self, paths: Paths, job: Job) -> Outcome | None:
        """The outcome that a job had on the path of this message; None for every other job.

        Its worker may have died before it told anybody, and no other message does. A job that
        ended elsewhere is told by its message there.
        """
        try:
            record = self._ledger.job(job.name, job.job_id)
        except UnknownJob:
            return None
        ended_here = record.state.finished and record.path is job.path
        return outcome_of(paths, record) if ended_here else None

    def _hand_over(
        self, paths: Paths, job: Job, held: Claim | JobRecord, reason: Reason, error: str | None
    ) -> Outcome:
        """Move a started job to legacy, as `_turn_away` does one that waits."""

        def move() -> bool | None:
            return self._ledger.hand_over(
                job.name,
                job.job_id,
                held.attempt,
                reason,
                error,
                self._clock.now(),
                nonce=held.nonce,
            )

        try:
            # A job that has run is worth the wait: until it is moved its message would be dropped.
            moved = self._patiently(job.job_id, move)
            if moved is False:
                # Its own commit may have counted, and only its answer was lost.
                return self._found_ended(paths, held) or Dropped(Refusal.STALE)
        except LedgerUnreachable:
            return ToLegacy(reason)
        return ToLegacy(reason, recorded=bool(moved))  # None: the ledger does not hold the job


def outcome_of(paths: Paths, record: JobRecord, *, duplicate: bool = True) -> Outcome:
    """The recorded outcome of a job; `duplicate` when its message came again."""
    if record.state.called_off or record.result == FORGOTTEN:
        return Dropped(Refusal.FINISHED)
    if record.result == NOT_KEPT:
        return Failed(JobFailed(record.job_id, "it is committed, but its result was not kept"))
    if record.result is not None:
        return Done(paths.read(record.result), duplicate=duplicate)
    return Failed(JobFailed(record.job_id, record.error or "no error was recorded"))


def describe(error: BaseException) -> str:
    """One line on an exception, short enough to keep, in characters every database takes."""
    sentence = f"{type(error).__name__}: {words_of(error)}"[:2000]
    plain = sentence.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()
    return plain[:2000]
