"""A job's whole way in this process: `run`, a direct call, and Celery's eager mode."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from os import getpid
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import uuid4

from rollout.adapters.envelope import seal
from rollout.errors import JobFailed
from rollout.jobs.claims import JobState, Refusal
from rollout.jobs.delivery import Delivery, Done, Dropped, Failed, Outcome, Paths, ToLegacy, Wait
from rollout.jobs.ports import Filing, Job
from rollout.jobs.submit import UNFILED
from rollout.routing.decision import Decision, JobPath

if TYPE_CHECKING:
    from rollout.pipeline.declared import Declared
    from rollout.wiring import Runtime


_EARLY = Dropped(Refusal.EARLY)
_TAKEN = Dropped(Refusal.TAKEN)
_MOVED = Dropped(Refusal.MOVED)
"""A retry of a job that fell back here: it is legacy's for good, whatever routing says now."""


def run_here(
    declared: "Declared",
    job_id: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    paths: Paths | None = None,
    on_fallback: Callable[[], None] = lambda: None,
    again: tuple[type[BaseException], ...] = (),
) -> Any:
    """Route a job, run it here, and fall back here.

    Args:
        declared: The sub-pipeline.
        job_id: The job's id; a new one when empty.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        paths: Runs the paths, in place of `declared` itself.
        on_fallback: Called before legacy takes over.
        again: Exceptions by which a path asks to be run again under the same id.

    Raises:
        Exception: What the legacy path (or the commit hook) raised; the job is kept as failed.
    """
    declared.check()
    runtime = declared.runtime_here
    submit = runtime.submit
    job_id = job_id or str(uuid4())
    key = declared.key_of(job_id, args, kwargs)
    decision, filing = _filed(declared, runtime, job_id, key, args, kwargs)
    attempts = declared.attempts_of(runtime)
    worker = f"in process {getpid()}"
    job = Job(job_id, declared.name, key, decision.path, 0, args, kwargs)
    untouched = _copied(args, kwargs) if decision.path is JobPath.CONCURRENT else (args, kwargs)
    taken = _Counted(paths or declared)

    def deliver(job: Job, *, drilled: bool = False) -> Outcome:
        return attempts.run(
            taken,
            Delivery(
                job,
                worker,
                lambda: filing,
                drilled,
                on_failure=declared.on_failure,
                needs=declared.needs,
            ),
        )

    try:
        outcome = deliver(job, drilled=decision.drilled)
        if isinstance(outcome, ToLegacy) or outcome == _MOVED:
            if outcome != _MOVED:
                on_fallback()
            legacy = Job(job_id, declared.name, key, JobPath.LEGACY, 0, *untouched)
            outcome = deliver(legacy)
        if outcome in (_EARLY, _TAKEN):
            _called_off(runtime, declared.name, job_id)
    except again:
        submit.release(replace(filing, path=taken.path), taken.attempt)
        raise
    finally:
        if declared.on_failure is not None:
            runtime.key_order.send_next(declared.name, key)
        if declared.needs:
            runtime.resource_calls.given_back(declared.needs)
    return _value_of(outcome, job_id)


def _filed(
    declared: "Declared",
    runtime: "Runtime",
    job_id: str,
    key: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> tuple[Decision, Filing]:
    """Route the job and file it; one that the ledger did not take goes to legacy unfiled."""
    submit = runtime.submit
    decision = submit.decide(declared.name, key)
    filing = Filing(
        job_id=job_id,
        name=declared.name,
        key=key,
        path=decision.path,
        reason=decision.reason,
        revision=decision.revision,
        envelope="",  # nobody can send again what only this process runs
        at=runtime.clock.now(),
    )
    if declared.app is None:
        seal(declared.name, {"body": [args, kwargs]}, runtime.settings.payload_bytes_max)
    if not submit.file(
        declared.name,
        declared.effects,
        declared.holdback_bp,
        [filing],
        outcome_will_do=True,
        on_failure=declared.on_failure,
    ):
        decision = UNFILED
    return decision, filing


def _copied(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The arguments as they came: a concurrent path may change what it is given, and fail then."""
    try:
        return deepcopy((args, kwargs))
    except Exception:  # whatever a class of theirs says: a lock, say, is shared by both paths
        return args, kwargs


def _called_off(runtime: "Runtime", name: str, job_id: str) -> NoReturn:
    """Nothing sends a job again that only this process runs, so it cannot wait for its turn."""
    taken = runtime.ledger.resources_of(name, job_id)
    if taken:
        sentence = f"{' and '.join(taken)} may be taken, and a call in this process cannot wait"
    else:
        found = runtime.ledger.in_front_of(name, job_id)
        behind = "another job" if found is None else f"job {found.job_id}"
        sentence = f"{behind} of its key is in front, and a call in this process cannot wait for it"
    runtime.ledger.call_off(name, job_id, None, JobState.CANCELLED, sentence, runtime.clock.now())
    raise JobFailed(job_id, sentence)


class _Counted:
    """Paths that know which attempt ran last."""

    hurt = False

    def __init__(self, paths: Paths) -> None:
        self.name = paths.name
        self.effects = paths.effects
        self.holdback_bp = paths.holdback_bp
        self.write = paths.write
        self.read = paths.read
        self.attempt = 0
        self.path = JobPath.LEGACY
        self._paths = paths

    def call(self, path: JobPath, job: Job) -> Any:
        """Run the path."""
        self.path, self.attempt = path, job.attempt
        return self._paths.call(path, job)


def _value_of(outcome: Outcome, job_id: str) -> Any:
    match outcome:
        case Done(value):
            return value
        case Failed(error):
            raise error
        case Wait(unreachable):
            raise unreachable
        case _:
            raise JobFailed(job_id, "another worker took it while it ran here")
