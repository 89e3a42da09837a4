"""Runs jobs on the concurrent path in processes that refuse writes, in four orders."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from rollout.preflight.facts import JobFact, Order, Touch, Touched, Trial, TriedRun
from rollout.settings import environment
from rollout.shadow.runs import redacted
from rollout.up.hand import START_S, Hand
from rollout.up.subject import Subject
from rollout.up.watched import FRESH


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
    with (
        tempfile.TemporaryDirectory(prefix="rollout-preflight-") as folder,
        closing(_Crew(subject, jobs, effort, folder)) as crew,
    ):
        runs = [*crew.alone(0, numbers, Order.FORTH, hooks=effort.hooks)]
        # Nothing is learnt from a second time of waiting for what hangs.
        returning = [one for one in numbers if one not in crew.lost]
        runs += crew.alone(1, returning, Order.AGAIN)
        runs += crew.alone(0, returning[::-1], Order.BACK)
        runs += crew.together(returning)
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
        self.lost: set[int] = set()
        """Jobs that hung, or ended their process."""
        self._hands = [self._hand() for _ in range(effort.processes)]

    def _hand(self) -> Hand:
        arguments = (
            self._effort.module, self._subject.name, self._folder,
            "hooks" if self._effort.hooks else "", *self._effort.allowed,
        )  # fmt: skip
        return Hand("rollout.up.watched", arguments, environment(TMPDIR=self._folder))

    def close(self) -> None:
        """End all of them."""
        for hand in self._hands:
            hand.close()

    def alone(
        self, at: int, numbers: Sequence[int], order: Order, *, hooks: bool = False
    ) -> Iterator[TriedRun]:
        """One job after the other in one fresh process."""
        self._begin_afresh(at)
        for number in numbers:
            yield self._ask(at, number, order, hooks=hooks)

    def together(self, numbers: Sequence[int]) -> Iterator[TriedRun]:
        """Several processes at once, each with the jobs in another turn."""
        count = len(self._hands)
        for at in range(count):
            self._begin_afresh(at)
        for turn in range(len(numbers)):
            mine = [
                numbers[(turn + at * len(numbers) // count) % len(numbers)] for at in range(count)
            ]
            for hand, number in zip(self._hands, mine, strict=True):
                self._tell(hand, number)
            for at, number in enumerate(mine):
                yield self._heard(at, number, Order.LOAD)

    def _begin_afresh(self, at: int) -> None:
        """Have nothing left of the jobs before."""
        self._hands[at].wait_until_ready()
        self._hands[at].tell([FRESH])
        if isinstance(self._hands[at].receive(START_S), str):
            self._replace(at)

    def _replace(self, at: int) -> None:
        self._hands[at].close()
        self._hands[at] = self._hand()
        self._hands[at].wait_until_ready()

    def _ask(self, at: int, number: int, order: Order, *, hooks: bool = False) -> TriedRun:
        self._tell(self._hands[at], number, hooks=hooks)
        return self._heard(at, number, order)

    def _heard(self, at: int, number: int, order: Order) -> TriedRun:
        """A job's answer; a process that is lost is replaced."""
        answer = self._hands[at].receive(self._effort.limit_s)
        if isinstance(answer, str):
            self.lost.add(number)
            self._replace(at)
        return self._run(number, order, answer)

    def _tell(self, hand: Hand, number: int, *, hooks: bool = False) -> None:
        job = self._jobs[number]
        hand.tell([list(job.args or ()), dict(job.kwargs or {}), hooks])

    def _run(self, number: int, order: Order, answer: Any) -> TriedRun:
        where = self._jobs[number].where
        if isinstance(answer, str):
            return TriedRun(number, where, order, error=answer)
        text, error, seconds, touched, hook_ran, hook_error = answer
        touches = [Touch(Touched(kind), what, allowed) for kind, what, allowed in touched]
        if error is not None:
            error = redacted(self._subject.comparison, error)
            return TriedRun(number, where, order, None, error, seconds, touches)
        if hook_error is not None:
            hook_error = redacted(self._subject.comparison, hook_error)
        value = self._subject.read(text)
        return TriedRun(number, where, order, value, None, seconds, touches, hook_error, hook_ran)
