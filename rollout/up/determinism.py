"""Runs one input many times on both paths, in processes of its own: `rollout determinism`.

Fresh interpreters have hash seeds, random states and caches of their own, so that what depends on
them shows. The commit hook is never called, nothing is recorded, and no queue is used.
"""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from rollout.adapters.celery.install import pipelines_of
from rollout.adapters.envelope import from_json, to_json
from rollout.errors import NotShadowable, UnknownTask
from rollout.jobs.interrupts import INTERRUPTS
from rollout.jobs.ports import Job
from rollout.pipeline.declared import Declared
from rollout.routing.decision import JobPath
from rollout.shadow.determinism import ALONE, CONDITIONS, LOAD, InputRun, Runs
from rollout.up.hand import READY, Hand
from rollout.wiring import load_app


@dataclass(frozen=True, slots=True)
class Input:
    """What both paths are run on."""

    module: str
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Effort:
    """How often, in how many processes at once under load, and how long one run may take."""

    runs: int
    processes: int
    limit_s: float


def declared(module: str, name: str) -> Declared:
    """Find a sub-pipeline of an app that may be run beside its jobs.

    Raises:
        WrongSettings: The module cannot be imported.
        UnknownTask: It declares none of this name.
        NotShadowable: Its paths touch the world.
        DeclarationError: It is not complete.
    """
    found = {one.name: one for one in pipelines_of(load_app(module)).values()}
    if name not in found:
        raise UnknownTask(name, found)
    pipeline: Declared = found[name]
    pipeline.check()
    if not pipeline.effects.shadowable:
        raise NotShadowable(name, str(pipeline.effects))
    return pipeline


def measure(given: Input, effort: Effort, pipeline: Declared) -> Runs:
    """Run the input on each path under each condition; a path that hangs or dies is told."""
    found: dict[tuple[JobPath, str], list[InputRun]] = {
        (path, condition): [] for path in JobPath for condition in CONDITIONS
    }
    # Alone is one process at a time, but two in turn: a second interpreter, a second hash seed.
    for runs in _shares(effort.runs, 2):
        with closing(_Crew(given, 1)) as crew:
            for path in JobPath:
                found[path, ALONE] += crew.run(path, [runs], effort.limit_s, pipeline)
    shares = _shares(effort.runs, effort.processes)
    with closing(_Crew(given, len(shares))) as crew:
        for path in JobPath:
            found[path, LOAD] += crew.run(path, shares, effort.limit_s, pipeline)
    return found


def _shares(runs: int, processes: int) -> list[int]:
    """The runs of each process, as even as they can be; none has none."""
    shares = [runs // processes + (number < runs % processes) for number in range(processes)]
    return [share for share in shares if share]


class _Crew:
    """Processes that run a path when they are told to, all at once; a lost one is replaced."""

    def __init__(self, given: Input, processes: int) -> None:
        self._given = given
        self._hands: list[Hand | None] = [None] * processes

    def run(
        self, path: JobPath, runs: list[int], limit_s: float, pipeline: Declared
    ) -> list[InputRun]:
        """Run the path so often in each process; a process that fails ends its runs."""
        hands = [
            hand or Hand("rollout.up.determinism", (self._given.module, self._given.name))
            for hand in self._hands
        ]
        self._hands = list(hands)
        for hand in hands:
            hand.wait_until_ready()
        for hand, count in zip(hands, runs, strict=True):
            hand.tell([str(path), count, list(self._given.args), dict(self._given.kwargs)])
        found: list[InputRun] = []
        for number, (hand, count) in enumerate(zip(hands, runs, strict=True)):
            for _ in range(count):
                said = hand.receive(limit_s)
                found.append(_run_of(pipeline, said))
                if isinstance(said, str):
                    hand.close()
                    self._hands[number] = None
                    break
        return found

    def close(self) -> None:
        """End all of them."""
        for hand in self._hands:
            if hand is not None:
                hand.close()


def _run_of(pipeline: Declared, said: Any) -> InputRun:
    if isinstance(said, str):
        return InputRun(error=said)
    text, error, seconds = said
    if error is not None:
        return InputRun(error=error, seconds=seconds)
    return InputRun(pipeline.read(text), seconds=seconds)


def main(module: str, name: str) -> None:
    """Run paths as told on stdin, in a process of its own; what they print goes to stderr."""
    with os.fdopen(os.dup(1), "w") as line:
        os.dup2(2, 1)
        pipeline = declared(module, name)
        print(READY, file=line, flush=True)
        for order in sys.stdin:
            path, runs, args, kwargs = from_json(order)
            for _ in range(runs):
                said = _run_once(pipeline, JobPath(path), args, kwargs)
                print(to_json(name, "a result", said), file=line, flush=True)


def _run_once(
    pipeline: Declared, path: JobPath, args: list[Any], kwargs: dict[str, Any]
) -> tuple[str, str | None, float]:
    # Each run gets arguments of its own: a path may change them in place.
    job = Job("determinism", pipeline.name, "", path, 0, tuple(deepcopy(args)), deepcopy(kwargs))
    began = time.perf_counter()
    try:
        value = pipeline.call(path, job)
        seconds = time.perf_counter() - began
        return pipeline.to_text(value), None, seconds
    except INTERRUPTS:
        raise
    except BaseException as error:
        return "", f"{type(error).__name__}: {error}"[:300], time.perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
