"""Runs jobs on the concurrent path in processes that refuse writes, in four orders."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from rollout.preflight.facts import JobFact, Order, Touch, Touched, Trial, TriedRun
from rollout.settings import environment
from rollout.up.hand import Hand
from rollout.up.subject import Subject


@dataclass(frozen=True, slots=True)
class Effort:
    """How a trial is made.

    Attributes:
        module: Module of the Celery app.
        processes: How many run at once under load.
        limit_s: Longest a run may take.
        hooks: Whether commit hooks are tried.
        allowed: What contains one of these texts is let through.
    """

    module: str
    processes: int
    limit_s: float
    hooks: bool
    allowed: Sequence[str]


def try_jobs(subject: Subject, jobs: Sequence[JobFact], effort: Effort) -> Trial:
    """Run each job in each order; every order begins in fresh processes."""
    numbers = list(range(len(jobs)))
    with tempfile.TemporaryDirectory(prefix="rollout-preflight-") as folder:
        crew = _Crew(subject, jobs, effort, folder)
        runs = [
            *crew.alone(numbers, Order.FORTH, hooks=effort.hooks),
            *crew.alone(numbers, Order.AGAIN),
            *crew.alone(numbers[::-1], Order.BACK),
            *crew.together(numbers),
        ]
    return Trial(runs)


class _Crew:
    """Starts processes for one trial and gives them their jobs."""

    def __init__(
        self, subject: Subject, jobs: Sequence[JobFact], effort: Effort, folder: str
    ) -> None:
        self._subject = subject
        self._jobs = jobs
        self._effort = effort
        self._folder = folder

    def _hand(self, *, hooks: bool = False) -> Hand:
        arguments = (
            self._effort.module, self._subject.name, self._folder, "hooks" if hooks else "",
            *self._effort.allowed,
        )  # fmt: skip
        return Hand("rollout.up.watched", arguments, environment(TMPDIR=self._folder))

    def alone(
        self, numbers: Sequence[int], order: Order, *, hooks: bool = False
    ) -> Iterator[TriedRun]:
        """One process, one job after the other; a process that is lost is replaced."""
        hand = self._hand(hooks=hooks)
        try:
            for number in numbers:
                hand.wait_until_ready()
                self._tell(hand, number, hooks=hooks)
                answer = hand.receive(self._effort.limit_s)
                yield self._run(number, order, answer)
                if isinstance(answer, str):
                    hand.close()
                    hand = self._hand(hooks=hooks)
        finally:
            hand.close()

    def together(self, numbers: Sequence[int]) -> Iterator[TriedRun]:
        """Several processes at once, each with the jobs in another turn."""
        count = self._effort.processes
        with closing(_Hands([self._hand() for _ in range(count)])) as hands:
            for turn in range(len(numbers)):
                mine = [
                    numbers[(turn + at * len(numbers) // count) % len(numbers)]
                    for at in range(count)
                ]
                for hand, number in zip(hands.all, mine, strict=True):
                    hand.wait_until_ready()
                    self._tell(hand, number)
                for at, number in enumerate(mine):
                    answer = hands.all[at].receive(self._effort.limit_s)
                    yield self._run(number, Order.LOAD, answer)
                    if isinstance(answer, str):
                        hands.all[at].close()
                        hands.all[at] = self._hand()

    def _tell(self, hand: Hand, number: int, *, hooks: bool = False) -> None:
        job = self._jobs[number]
        hand.tell([list(job.args or ()), dict(job.kwargs or {}), hooks])

    def _run(self, number: int, order: Order, answer: Any) -> TriedRun:
        where = self._jobs[number].where
        if isinstance(answer, str):
            return TriedRun(number, where, order, error=answer)
        text, error, seconds, touched, hook_ran, hook_error = answer
        touches = [Touch(Touched(kind), what) for kind, what in touched]
        if error is not None:
            return TriedRun(number, where, order, None, error, seconds, touches)
        value = self._subject.read(text)
        return TriedRun(number, where, order, value, None, seconds, touches, hook_error, hook_ran)


class _Hands:
    """Processes that are all ended together."""

    def __init__(self, hands: list[Hand]) -> None:
        self.all = hands

    def close(self) -> None:
        """End each."""
        for hand in self.all:
            hand.close()
