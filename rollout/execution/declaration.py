"""What a graph is made of: steps, mapped steps and barriers, as frozen values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollout.execution.policies import FailurePolicy

Check = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What steps and barriers have in common.

    Attributes:
        after: Names to wait for without taking their results.
        timeout_s: Longest run of one attempt in seconds; None is any.
        retries: Further attempts after a failed one.
        retry_wait_s: Pause before each of them, in seconds; it takes no slot.
        policy: What parents that did not succeed mean: "block", "allow_failure" or "always".
        resources: Weight taken of each named resource while it runs.
    """

    after: Sequence[str] = ()
    timeout_s: float | None = None
    retries: int = 0
    retry_wait_s: float = 0.0
    policy: FailurePolicy | str = FailurePolicy.BLOCK
    resources: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Step(Limits):
    """One piece of work.

    Attributes:
        name: Unique in its graph.
        work: Called with the results of `needs` in their order, then `args`, then `kwargs`.
        needs: Names of steps to wait for and whose results are handed over; a mapped step gives
            the list of all its results, a barrier a dictionary by name.
        args, kwargs: Fixed arguments; JSON when the step may run on Celery.
    """

    name: str
    work: Callable[..., Any]
    needs: Sequence[str] = ()
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mapped(Limits):
    """The same work once per item: steps `name[0]`, `name[1]`, and so on.

    Attributes:
        over: One item per step; it is handed over after the results of `needs`.
        limit: How many of them may run at once, under the pool's size; None is any.
    """

    name: str
    work: Callable[..., Any]
    over: Sequence[Any]
    needs: Sequence[str] = ()
    limit: int | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Barrier(Limits):
    """A step without work: it lets nothing through until its check passes.

    Attributes:
        check: Asked with the results of `after` by name; only True passes. With `retries` it is
            asked again after `retry_wait_s`. None passes when everything before it has ended well.
    """

    name: str
    check: Check | None = None


Declared = Step | Mapped | Barrier

_WAY_MAX = 40
"""Names of a way that are kept; a failed first of 10,000 steps in a row has 10,000 dependents."""


def shortened(way: Sequence[str]) -> tuple[str, ...]:
    """A way as it is, or of a long one the beginning and the end with `...` between."""
    if len(way) <= _WAY_MAX + 1:
        return tuple(way)
    half = _WAY_MAX // 2
    return (*way[:half], "...", *way[-half:])


@dataclass(frozen=True)
class Failure:
    """How a step ended that did not succeed.

    Attributes:
        step: Its name.
        state: "failed", "blocked" or "cancelled".
        error: What it raised; for a blocked step what its failed ancestor raised.
        attempts: How often it was started.
        path: Names from a root of the graph to the step that failed, and on to this one; of a
            long way its beginning and its end (`shortened`).
    """

    step: str
    state: str
    error: BaseException | None
    attempts: int
    path: tuple[str, ...]

    def __str__(self) -> str:
        """One line, with the way to it."""
        error = f": {type(self.error).__name__}: {self.error}" if self.error is not None else ""
        return f"{self.step} {self.state} (by way of {' > '.join(self.path)}){error}"
