"""What a step can ask about itself while it runs, and the call that crosses to an executor."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from rollout.execution.errors import StepTimedOut, Stopped

MayGoOn = Callable[[], bool]


@dataclass(slots=True)
class Running:
    """One attempt of a step or of a batch's stage.

    Attributes:
        name: Of the step, or stage and batch as `transform[12]`.
        attempt: From 1.
        seed: The same for the same name in every run with `deterministic=True`, else None; hand it
            to the generator of random numbers that the step makes for itself.
        expired_s: The limit it ran over, once it did.
        stopped: Why the run stops, once it does.
        rejected: Records that a stage gave to the dead letter, with reasons; None is none.
        place: Executor and process it runs on, to find a run that would wait for itself.
    """

    name: str
    attempt: int = 1
    seed: int | None = None
    expired_s: float | None = None
    stopped: str | None = None
    rejected: list[tuple[Any, str]] | None = None
    place: tuple[int, int] | None = None

    def check(self) -> None:
        """Raise when this attempt should end: a long step asks now and then.

        Raises:
            StepTimedOut: It ran over its limit.
            Stopped: The run was told to stop.
        """
        if self.expired_s is not None:
            raise StepTimedOut(self.name, self.expired_s)
        if self.stopped is not None:
            raise Stopped(self.stopped)


_current: ContextVar[Running | None] = ContextVar("rollout_execution_running", default=None)
_asked: ContextVar[MayGoOn | None] = ContextVar("rollout_execution_may_go_on", default=None)
set_current = _current.set


def current() -> Running | None:
    """The attempt that this code runs in; None outside a run."""
    return _current.get()


def reject(record: Any, reason: str) -> None:
    """Give one record of this stage's batch to the dead letter; leave it out of what you return.

    Raises:
        LookupError: No stage runs here.
    """
    running = _current.get()
    if running is None:
        raise LookupError("reject() is for the work of a stage, and none runs here")
    # A list for each attempt would cost every step of a graph.
    running.rejected = [*(running.rejected or ()), (record, reason)]


@contextmanager
def asking(may_go_on: MayGoOn) -> Iterator[None]:
    """Have every run inside the block ask before each new step or batch; False stops it."""
    token = _asked.set(may_go_on)
    try:
        yield
    finally:
        _asked.reset(token)


def asked() -> MayGoOn | None:
    """What the nearest `asking` around this code gave."""
    return _asked.get()


def seed_of(name: str) -> int:
    """A number from a name: 64 bits, the same in every process and release of Python."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())


def invoke(
    work: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    about: Mapping[str, Any],
) -> Any:
    """Call a step's work where an executor runs it, with `current()` set there.

    Args:
        work: The function.
        args, kwargs: What to call it with.
        about: `name`, `attempt`, `seed` and `place` of the attempt: JSON.
    """
    place = tuple(about["place"]) if about.get("place") else None
    running = Running(
        about["name"],
        about["attempt"],
        about["seed"],
        place=(place[0], place[1]) if place else None,
    )
    token = _current.set(running)
    try:
        return work(*args, **kwargs)
    finally:
        _current.reset(token)


def here(executor: object) -> tuple[int, int]:
    """Names an executor of this process."""
    return id(executor), os.getpid()
