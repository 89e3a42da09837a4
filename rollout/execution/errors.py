"""Every error of an execution: what was expected, what came, what to do."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any


class ExecutionError(Exception):
    """Base of all errors of `rollout.execution`; `str()` is "<problem>; <hint>"."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem, hint)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        """What was expected, what came; what to do."""
        return f"{self.problem}; {self.hint}"


class WrongDeclaration(ExecutionError):
    """A graph or a chain that could never run as it is written; nothing has started."""


class UnknownStep(WrongDeclaration):
    """A name that no step, barrier or mapped step has."""

    def __init__(self, name: str, known: Iterable[str], asked_by: str = "") -> None:
        close = get_close_matches(name, list(known), n=1)
        guess = f", did you mean {close[0]!r}?" if close else ""
        by = f" that {asked_by!r} waits for" if asked_by else ""
        super().__init__(f"no step named {name!r}{by}{guess}", "name a step of the same graph")


class WaitsForItself(ExecutionError):
    """A step starts a run on the executor whose place it holds; both would wait for ever."""

    def __init__(self, step: str) -> None:
        super().__init__(
            f"step {step!r} started a run on the executor that it runs on itself",
            "give the inner run an executor of its own, or let it use threads",
        )


class StepTimedOut(ExecutionError):
    """A step ran longer than its limit."""

    def __init__(self, step: str, timeout_s: float) -> None:
        super().__init__(
            f"{step} should end within {timeout_s:g} s and did not",
            "raise its timeout_s, or let it ask current().check() between its parts",
        )


class BarrierClosed(ExecutionError):
    """The check of a barrier did not pass."""

    def __init__(self, barrier: str, came: object) -> None:
        super().__init__(
            f"the check of barrier {barrier!r} must give True, got {came!r}",
            "look at what it checks; give it retries when that can still arrive",
        )


class Stopped(ExecutionError):
    """The run was told to stop; nothing new starts and nothing more commits."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the run stopped: {reason}", "run it again when the reason is gone")
        self.reason = reason


class StillRuns(ExecutionError):
    """Work over its limit did not end within the time it was given at the end of the run."""

    def __init__(self, names: Sequence[str], waited_s: float) -> None:
        super().__init__(
            f"after {waited_s:g} s these still run: {', '.join(names)}",
            "a thread cannot be stopped from outside; let the work ask current().check(), or "
            "run it in processes",
        )
        self.names = tuple(names)


class WorkerDied(ExecutionError):
    """The process that ran a step ended without an answer."""

    def __init__(self, step: str) -> None:
        super().__init__(
            f"the process that ran {step!r} died", "see its log; retries=1 runs the step again"
        )


class CalledOff(ExecutionError):
    """Somebody cancelled a step in the executor that was to run it."""

    def __init__(self, step: str) -> None:
        super().__init__(
            f"{step!r} was called off in its executor before it ran",
            "find out who cancels there; retries=1 gives the step out again",
        )


class StepsFailed(ExecutionError):
    """Steps of a graph did not succeed; `report` holds every result there is."""

    def __init__(self, report: Any) -> None:
        bad = list(report.failures.values())
        first = bad[0] if bad else None
        what = f", first {first}" if first else ""
        super().__init__(
            f"{len(bad)} of {len(report.state_of)} steps did not succeed{what}",
            "report.failures has each with its path, report.results what did succeed",
        )
        self.report = report


class BatchFailed(ExecutionError):
    """A batch of a chain failed: everything before it landed, nothing after it did."""

    def __init__(self, batch: int, stage: str, error: BaseException, report: Any) -> None:
        super().__init__(
            f"batch {batch} failed in {stage!r}: {type(error).__name__}: {error}",
            f"{report.batches} batches ({report.records} records) landed before it; a run with "
            "the same receipts goes on there",
        )
        self.batch, self.stage, self.error, self.report = batch, stage, error, report


class CorruptRecord(ExecutionError):
    """A stage rejected a record, and no dead letter can take it."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(
            f"a record is corrupt in {stage!r}: {reason}",
            "declare dead_letter=DeadLetter(path) to go on without it",
        )


class TooManyDeadLetters(ExecutionError):
    """More records are corrupt than the dead letter may take; the run stopped."""

    def __init__(self, which: str, cap: float, came: float, last_reason: str) -> None:
        super().__init__(
            f"the dead letter may take {which} up to {cap:g}, got {came:g} "
            f"(the last reason: {last_reason})",
            "look at the dead letter; mend the source or the stage, or raise the cap",
        )
        self.which, self.cap, self.came = which, cap, came


class ReceiptsInUse(ExecutionError):
    """Another run holds these receipts."""

    def __init__(self, path: object) -> None:
        super().__init__(
            f"another run holds the receipts {path}", "wait for its end, or use another file"
        )


class ReceiptsUnusable(ExecutionError):
    """Receipts of something else, or a result that no receipt can keep."""


class NotRemote(WrongDeclaration):
    """A step's work cannot cross to a worker by name and JSON."""


class RemoteStepFailed(ExecutionError):
    """A step failed on a Celery worker."""

    def __init__(self, kind: str, message: str, traceback: str) -> None:
        super().__init__(f"{kind}: {message}", "the worker's traceback is in .traceback")
        self.kind, self.message, self.traceback = kind, message, traceback


class Stalled(ExecutionError):
    """Work is left and nothing runs or could start: a fault of the engine, told at once."""

    def __init__(self, idle_reason: str) -> None:
        super().__init__(
            f"work is left and nothing can start: {idle_reason}", "please report this as a fault"
        )
