"""What a chain of stages is made of, as frozen values; what could never run is refused here."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from rollout.execution.errors import WrongDeclaration
from rollout.execution.sizing import Auto, Size, read_size

SOURCE, SINK = "source", "sink"
"""Names of what stands before the first stage and after the last one."""


@dataclass(frozen=True)
class Stage:
    """One stage of a chain.

    Attributes:
        name: Unique in its chain.
        work: Takes the batch's list of records and returns the list for the next stage; with
            `each=True` it takes one record and returns one.
        workers: How many batches it works on at once.
        each: Whether it is called per record, so that a corrupt one can be told from the rest.
        corrupt: With `each`, what it raises for a record that goes to the dead letter; anything
            else fails the batch.
        timeout_s, retries, retry_wait_s: As of a step, per batch.
        executor: Where it runs, when elsewhere than the rest.
    """

    name: str
    work: Callable[..., Any]
    workers: int = 1
    each: bool = False
    corrupt: type[Exception] | tuple[type[Exception], ...] = ()
    timeout_s: float | None = None
    retries: int = 0
    retry_wait_s: float = 0.0
    executor: Executor | str | None = field(default=None, repr=False)

    @property
    def corrupt_types(self) -> tuple[type[Exception], ...]:
        """What it raises for a corrupt record, as a tuple."""
        return self.corrupt if isinstance(self.corrupt, tuple) else (self.corrupt,)


class Chain:
    """Stages that overlap in micro-batches; batch N+1 never lands before N.

    Args:
        name: Says in reports and receipts what ran.
        stages: In the order in which a batch goes through them.
        size: Records of a batch, `Bytes(most)`, "auto" or `Auto(least, most)`.
        buffer: Batches that may wait between two stages; what bounds the memory.

    Raises:
        WrongDeclaration: It could never run; says why.
    """

    def __init__(
        self, name: str, stages: Iterable[Stage], *, size: Size = 500, buffer: int = 2
    ) -> None:
        self.name = name
        self.stages: Sequence[Stage] = tuple(stages)
        self.size = read_size(size)
        self.buffer = buffer
        if not self.stages:
            raise WrongDeclaration("a chain must have a stage, got none", "declare one")
        if not buffer >= 1:
            raise WrongDeclaration(
                f"buffer must be at least 1 batch, got {buffer!r}",
                "without any room no stage could hand a batch on",
            )
        names = [SOURCE, *(stage.name for stage in self.stages), SINK]
        for stage in self.stages:
            self._check(stage, names)

    @property
    def names(self) -> list[str]:
        """Source, stages and sink, in order."""
        return [SOURCE, *(stage.name for stage in self.stages), SINK]

    @property
    def workers(self) -> list[int]:
        """Workers of source, stages and sink; source and sink have one each, for the order."""
        return [1, *(stage.workers for stage in self.stages), 1]

    @property
    def is_auto(self) -> bool:
        """Whether the engine seeks the size."""
        return isinstance(self.size, Auto)

    def _check(self, stage: Stage, names: list[str]) -> None:
        if names.count(stage.name) > 1:
            raise WrongDeclaration(
                f"two parts of a chain are named {stage.name!r}", "give one another name"
            )
        if not callable(stage.work):
            raise WrongDeclaration(
                f"work of {stage.name!r} must be a function, got {stage.work!r}",
                "pass the function itself",
            )
        if not stage.workers >= 1:
            raise WrongDeclaration(
                f"workers of {stage.name!r} must be at least 1, got {stage.workers!r}",
                "with none every batch waits for ever",
            )
        if stage.timeout_s is not None and not stage.timeout_s > 0:
            raise WrongDeclaration(
                f"timeout_s of {stage.name!r} must be over 0, got {stage.timeout_s!r}",
                "None is no limit",
            )
        if not (stage.retries >= 0 and stage.retry_wait_s >= 0):
            raise WrongDeclaration(
                f"retries and retry_wait_s of {stage.name!r} must be at least 0, got "
                f"{stage.retries!r} and {stage.retry_wait_s!r}",
                "0 tries once",
            )
        if stage.corrupt_types and not stage.each:
            raise WrongDeclaration(
                f"{stage.name!r} names what a corrupt record raises, but takes whole batches",
                "add each=True, or call reject(record, reason) in its work",
            )
