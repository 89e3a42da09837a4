"""One shadow: the same input on the concurrent path, or on legacy again; compared, not committed.

    asked      the control store: still in shadow or split, not killed, supervised
    begun      a row, so that a run that is never heard of again is counted
    run        the path alone; the commit hook is not known here
    compared   with what legacy returned, carried by the copy
    ended      row, counts, group and evidence in one transaction

Whatever the path does, nothing but counts comes of it. What kills the process is counted by the
worker's main process (`lost`), or, when that died too, by the next who looks (`settle`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from rollout.errors import LedgerUnreachable, MalformedCopy, UnknownJob, words_of
from rollout.evidence.counts import Counts
from rollout.evidence.errors import EvidenceError
from rollout.evidence.shadow import ShadowEvidence
from rollout.evidence.verdict import Finding
from rollout.jobs.delivery import Withdrawn
from rollout.jobs.interrupts import INTERRUPTS
from rollout.jobs.kill_watch import KillWatch
from rollout.jobs.ports import Job, Ledger
from rollout.log import log
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath
from rollout.routing.ports import ControlStore
from rollout.shadow.canonical import Digest, digest, weigh
from rollout.shadow.compare import Compared, Comparison, Uncomparable, compare
from rollout.shadow.compare_digests import compare_digests
from rollout.shadow.copies import (
    BY_THE_PATH,
    ShadowCopy,
    Shed,
    Trouble,
    Unusable,
    read_copy,
    share_bp,
)
from rollout.shadow.field_paths import RAISED
from rollout.shadow.ports import (
    ShadowAccount,
    ShadowBegun,
    ShadowEnd,
    ShadowPaths,
    ShadowRun,
    Shadows,
)

ENDING_WAITS_S = (0.5, 2.0)
"""Pauses between tries to record an end while the ledger is away; then it counts as lost."""
UPKEEP_S = 60.0
"""A shadow worker looks after lost and old runs this often, when it has a run."""
LOST_GRACE = timedelta(seconds=60)
"""A run is lost when it is this much older than its time limit."""
UPKEEP_BATCH = 200
NODES_MAX = 5_000_000
CHARS_MAX = 200_000_000
"""A shadow's own result may cost the shadow more than a copy may cost legacy."""


@dataclass(frozen=True, slots=True)
class _Stopped:
    """A run that gave nothing to compare."""

    trouble: Trouble
    why: str


class ShadowRuns:
    """Runs shadows in a shadow worker.

    Args:
        control: Asked once per shadow.
        jobs: Gives the input.
        shadows: The account.
        clock: Time.
        keep: Runs that ended are deleted after this long.
        limit: How long a shadow may run.
    """

    def __init__(
        self,
        control: ControlStore,
        jobs: Ledger,
        shadows: Shadows,
        clock: Clock,
        keep: timedelta,
        limit: timedelta,
    ) -> None:
        self._control = control
        self._jobs = jobs
        self._shadows = shadows
        self._clock = clock
        self._keep = keep
        self._limit = limit
        self._upkeep_at = float("-inf")

    def run(self, paths: ShadowPaths, values: Any, run_id: str) -> None:
        """Take one shadow its whole way. Raises nothing that path or servers can cause."""
        try:
            self._run(paths, values, run_id)
            self._upkeep(paths.name)
        except LedgerUnreachable as error:
            log.warning("shadow not recorded", run=run_id, why=str(error))

    def _run(self, paths: ShadowPaths, values: Any, run_id: str) -> None:
        try:
            copy = read_copy(values)
        except MalformedCopy as error:
            log.warning("shadow copy refused", run=run_id, why=str(error))
            self._count(paths.name, {f"trouble:{Trouble.MALFORMED}": 1})
            return
        refused = self._refused(paths, copy)
        if refused is not None:
            shed = {**copy.shed, refused: copy.shed.get(refused, 0) + 1}
            self._count(paths.name, {f"shed:{word}": count for word, count in shed.items()})
            return
        begun = ShadowBegun(
            run_id, paths.name, copy.job_id, copy.path, copy.legacy_s, self._clock.now()
        )
        if self._shadows.begin_shadow(begun, copy.shed):
            self._end(self._outcome(paths, copy, ShadowEnd(run_id, paths.name, begun.at)))

    def _refused(self, paths: ShadowPaths, copy: ShadowCopy) -> Shed | None:
        if not paths.effects.shadowable:
            return Shed.EFFECTS
        if copy.build is not None and copy.build != paths.builds.get(JobPath.LEGACY):
            return Shed.CLOSED  # what a release changed would read as legacy's noise
        return None if share_bp(self._control.read(paths.name), 1, 1) else Shed.CLOSED

    def _outcome(self, paths: ShadowPaths, copy: ShadowCopy, end: ShadowEnd) -> ShadowEnd:
        shadow_s = None
        found: Compared | Uncomparable | _Stopped
        if isinstance(copy.result, Unusable):
            found = _Stopped(copy.result.trouble, copy.result.why)
        else:
            job = self._job(paths, copy)
            ran = job if isinstance(job, _Stopped) else self._call(paths, job)
            if isinstance(ran, _Stopped):
                found = ran
            else:
                value, shadow_s = ran
                found = judge(paths, copy.result, value)
        at = self._clock.now()
        if isinstance(found, _Stopped):
            fields = frozenset({RAISED}) if found.trouble in BY_THE_PATH else frozenset[str]()
            why = redacted(paths.comparison, found.why)
            return replace(end, at=at, trouble=str(found.trouble), why=why, fields=fields)
        if isinstance(found, Uncomparable):
            why = redacted(paths.comparison, found.why)
            return replace(end, at=at, shadow_s=shadow_s, trouble=found.kind, why=why)
        return replace(
            end,
            at=at,
            shadow_s=shadow_s,
            fields=found.names,
            signature=found.signature,
            diff=found.diff(),
        )

    def _job(self, paths: ShadowPaths, copy: ShadowCopy) -> Job | _Stopped:
        try:
            record = self._jobs.job(paths.name, copy.job_id)
            args, kwargs = paths.input_of(record.envelope)
        except (UnknownJob, ValueError, KeyError, TypeError) as error:
            return _Stopped(Trouble.NO_INPUT, f"{type(error).__name__}: {words_of(error)}"[:300])
        return Job(copy.job_id, paths.name, record.key, copy.path, 0, args, kwargs)

    def _call(self, paths: ShadowPaths, job: Job) -> tuple[Any, float] | _Stopped:
        began = self._clock.monotonic()
        if job.path is JobPath.CONCURRENT:
            job = replace(job, _goes_on=KillWatch(self._control, self._clock, job.name))
        try:
            value = paths.call(job.path, job)
        except Withdrawn:
            return _Stopped(Trouble.KILLED, "a kill came while it ran")
        except MemoryError as error:
            return _Stopped(Trouble.MEMORY, words_of(error) or "MemoryError")
        except INTERRUPTS:
            raise
        except BaseException as error:
            return _Stopped(Trouble.RAISED, f"{type(error).__name__}: {words_of(error)}"[:300])
        return value, self._clock.monotonic() - began

    def _end(self, end: ShadowEnd) -> None:
        for pause_s in ENDING_WAITS_S:
            try:
                self._shadows.end_shadow(end, fold)
                return
            except LedgerUnreachable:
                self._clock.sleep(pause_s)
        self._shadows.end_shadow(end, fold)

    def lost(self, paths: ShadowPaths, run_id: str, trouble: Trouble) -> None:
        """Count a shadow whose process has died; called by the process that saw it."""
        end = ShadowEnd(
            run_id,
            paths.name,
            self._clock.now(),
            trouble=str(trouble),
            why="the process of the shadow was killed",
            fields=frozenset({RAISED}),
        )
        try:
            self._shadows.end_shadow(end, fold)
        except LedgerUnreachable as error:
            log.warning("lost shadow not recorded yet", run=run_id, why=str(error))

    def _count(self, name: str, counts: Mapping[str, int]) -> None:
        self._shadows.count_shadows(name, counts, self._clock.now())

    def _upkeep(self, name: str) -> None:
        """Settle lost runs and delete old ones, once in a while: no other process has to."""
        if self._clock.monotonic() < self._upkeep_at:
            return
        self._upkeep_at = self._clock.monotonic() + UPKEEP_S
        settle(self._shadows, name, self._clock.now(), self._limit)
        self._shadows.prune_shadows(name, self._clock.now() - self._keep, UPKEEP_BATCH)


def raised_of(evidence: ShadowEvidence) -> Counts:
    """Count shadows, and runs of legacy again, with those that raised where legacy returned."""
    outputs = evidence.outputs
    # Of the concurrent path's, `pairs` are those that returned; of legacy's only the field tells.
    k_old = next((one.k_old for one in outputs.fields if one.name == RAISED), 0)
    return Counts(outputs.new, max(0, outputs.new - evidence.pairs), outputs.old, k_old)


def settle(shadows: Shadows, name: str, now: datetime, limit: timedelta) -> int:
    """Count runs that are long past their time limit as lost; how many."""
    return shadows.settle_shadows(name, now - limit - LOST_GRACE, now, fold, UPKEEP_BATCH)


def judge(
    paths: ShadowPaths, carried: str | Digest, value: Any
) -> Compared | Uncomparable | _Stopped:
    """Compare what a shadow returned with what legacy had returned."""
    try:
        if not weigh(value, NODES_MAX, CHARS_MAX):
            return _Stopped(Trouble.TOO_LARGE, f"more than {NODES_MAX} parts, or too much text")
        other = paths.read(paths.to_text(value))
        if isinstance(carried, Digest):
            return compare_digests(paths.comparison, carried, digest(other, paths.comparison))
        return compare(paths.comparison, paths.read(carried), other)
    except (Exception, SystemExit) as error:  # the value's own code may raise anything
        return _Stopped(Trouble.UNSERIALISABLE, f"{type(error).__name__}: {words_of(error)}"[:300])


def redacted(comparison: Comparison, why: str) -> str:
    """Show an error as far as it may be stored: its text may quote a value, of whatever field."""
    if callable(comparison.redact):
        return comparison.shown(RAISED, why)
    kind, colon, _ = why.partition(": ")
    hides = bool(comparison.redact) and bool(colon) and kind.isidentifier()
    return f"{kind}: (redacted)" if hides else why


def fold(evidence: Any, run: ShadowRun) -> Any:
    """Take a run that has just ended into the stored evidence; pure."""
    state = _state(evidence)
    assert run.ended_at is not None, "only ended runs are folded"
    if run.trouble is not None:
        return state.failed(run.path, run.fields).to_json()
    assert run.shadow_s is not None, "a run that was compared has its time"
    try:
        at_s = (run.ended_at - _EPOCH).total_seconds()
        after = state.compared(run.path, run.fields, run.legacy_s, run.shadow_s, at_s)
    except EvidenceError as error:
        log.error("a shadow is no evidence", run=run.run_id, why=str(error))
        return state.to_json()
    return after.to_json()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _state(evidence: Any) -> ShadowEvidence:
    if evidence is None:
        return ShadowEvidence()
    try:
        return ShadowEvidence.from_json(evidence)
    except EvidenceError as error:
        log.warning("stored shadow evidence begins afresh", why=str(error))
        return ShadowEvidence()


class ShadowFindings(NamedTuple):
    """What the shadows of a sub-pipeline say before its first split step."""

    pairs: int
    outputs: Finding
    time: Finding
    errors: int


def findings_of(account: ShadowAccount) -> ShadowFindings:
    """Say what the shadows showed since they began.

    Args:
        account: What the ledger keeps of them.

    Returns:
        Pairs compared; the verdict on outputs (beyond legacy's own noise) and on times; shadows of
        the concurrent path that ended in trouble.
    """
    state = _state(account.evidence)
    return ShadowFindings(state.pairs, state.outputs.finding(), state.time.finding(), state.errors)


def evidence_of(account: ShadowAccount) -> ShadowEvidence:
    """The evidence of an account, for a report."""
    return _state(account.evidence)
