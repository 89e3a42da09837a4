"""`ChainEngine`: one run of a chain of stages in overlapping micro-batches.

    report = ChainEngine(chain, source, sink=write, receipts=SqliteReceipts("warehouse.db")).run()

The way of one batch: cut from the source > each stage, by one of its workers > the sink, one batch
at a time in the order of the source: dead letters, sink, receipt > forgotten. When a batch fails,
everything before it lands, nothing after it does, and the run ends with `BatchFailed`.
"""

from __future__ import annotations

from concurrent.futures import CancelledError, Executor
from threading import local
from time import thread_time
from typing import Any

from rollout.execution.batch import Batch
from rollout.execution.chain import Chain
from rollout.execution.chain_board import ChainBoard, Task
from rollout.execution.chain_report import ChainReport
from rollout.execution.chain_why import chain_idle_reason, why_batch
from rollout.execution.crew import Crew
from rollout.execution.cutter import Cutter
from rollout.execution.dead_letter import DeadLetter
from rollout.execution.errors import (
    BatchFailed,
    CorruptRecord,
    StepTimedOut,
    Stopped,
    TooManyDeadLetters,
    WrongDeclaration,
)
from rollout.execution.lander import Lander
from rollout.execution.landing import BatchReceipts, Sink
from rollout.execution.places import Place, place_of
from rollout.execution.running import MayGoOn, Running, seed_of, set_current
from rollout.execution.shape import now_s
from rollout.execution.sources import Source
from rollout.execution.stage_work import Answer, work_batch
from rollout.execution.why import Why

SPANS_MAX = 10_000
"""Newest spans kept for the trace, about 2.5 MB: a stream without end must not fill the memory."""


class ChainEngine:
    """Runs a chain over a source once.

    Args:
        chain: The stages.
        source: Records; see `sources.Source`. With receipts it must give the same ones each time.
        sink: Called with the records of one batch after the other; None collects them in
            `report.output`.
        executor: Where stages run that name no executor of their own; source and sink run in
            threads of this process.
        receipts: Which batches have landed; the run goes on behind them.
        dead_letter: Where corrupt records go; without one a corrupt record fails its batch.
        deterministic: A seed per stage and batch, from its name; refuses a size that is sought.
        may_go_on: Asked before each batch enters a stage or the sink; anything but True stops.
        overdue_wait_s: As of `GraphEngine`.

    Raises:
        WrongDeclaration: Something here can never run; nothing has started.
    """

    def __init__(
        self,
        chain: Chain,
        source: Source,
        *,
        sink: Sink | None = None,
        executor: Executor | str = "threads",
        receipts: BatchReceipts | None = None,
        dead_letter: DeadLetter | None = None,
        deterministic: bool = False,
        may_go_on: MayGoOn | None = None,
        overdue_wait_s: float | None = None,
    ) -> None:
        if deterministic and chain.is_auto:
            raise WrongDeclaration(
                "a deterministic run must cut the same batches each time, got size='auto'",
                "run once with 'auto' and declare the size that its report names",
            )
        self.chain, self.deterministic = chain, deterministic
        self.lander = Lander(chain.name, sink, receipts, dead_letter)
        self.places = self._find_places(executor)
        self.cutter = Cutter(chain.size)
        self._source = source
        self.board = ChainBoard(chain.workers, chain.buffer)
        self.batches: dict[int, Batch] = {}
        self.now: dict[Task, Running] = {}
        self.failures: dict[int, tuple[int, BaseException]] = {}
        self.busy_s = [0.0] * len(chain.workers)
        self.has_limits = any(stage.timeout_s is not None for stage in chain.stages)
        self.crew = Crew(
            self,
            sum(chain.workers),
            may_go_on=may_go_on,
            overdue_wait_s=overdue_wait_s,
            spans_max=SPANS_MAX,
        )
        self._mark = local()

    # For the caller ---------------------------------------------------------------------------

    def run(self) -> ChainReport:
        """Run to the end of the source.

        Raises:
            BatchFailed: A batch failed for good; what is before it has landed.
            TooManyDeadLetters: A cap was exceeded; what is before that batch has landed.
            Stopped: `stop` was called, or `may_go_on` did not say yes.
            KeyboardInterrupt: By ctrl-C; nothing runs any more.
        """
        try:
            self.start()
            return self.wait()
        except BaseException as error:
            # Also when ctrl-C came between the two, or while threads were being started.
            self.crew.end(f"interrupted by {type(error).__name__}")
            raise

    def start(self) -> None:
        """Read the receipts and start; `wait` gives the report.

        Raises:
            ReceiptsInUse, ReceiptsUnusable: Of the receipts or the dead letter.
        """
        try:
            position = self.lander.open()
            self.board = ChainBoard(self.chain.workers, self.chain.buffer, position.batches)
            for place in set(self.places):
                place.open()
            self.cutter.open(self._source, position)
            self.crew.start()
        except BaseException as error:
            # Threads that have started use what is closed here, so they end first.
            self.crew.end(f"interrupted by {type(error).__name__}")
            self._close()
            raise

    def wait(self) -> ChainReport:
        """Wait for the end; result and errors as of `run`."""
        try:
            self.crew.wait()
        finally:
            self._close()
        report = self.report()
        if self.failures:
            number, (place, error) = min(self.failures.items(), key=lambda one: one[0])
            if isinstance(error, TooManyDeadLetters):
                raise error
            raise BatchFailed(number, self.chain.names[place], error, report) from error
        if self.crew.stop_reason is not None:
            raise Stopped(self.crew.stop_reason)
        return report

    def stop(self, reason: str) -> None:
        """Start nothing more: no batch enters a stage or the sink."""
        self.crew.stop(reason)

    def why(self, batch: int) -> Why:
        """Say what a batch waits for, exactly, at this moment."""
        with self.crew.lock:
            return why_batch(self, batch)

    def idle_reason(self) -> str:
        """Why not every slot runs something; never empty while work is left."""
        with self.crew.lock:
            return chain_idle_reason(self)

    def report(self) -> ChainReport:
        """What there is so far."""
        with self.crew.lock:
            return ChainReport.of(self)

    # For the crew -----------------------------------------------------------------------------

    def take(self, last: Task | None) -> Task | None:
        """Start a batch at a place, the same as before if it can: waking another thread costs."""
        return self.board.take(None if last is None else last[0])

    def execute(self, task: Task) -> Any:
        """Cut, work on, or land a batch."""
        handing_s = self._handing_s()
        place, number = task
        try:
            if place == 0:
                set_current(None)
                cut = self.cutter.cut(number)
                self.busy_s[0] = self.cutter.busy_s
                if cut is not None:
                    cut.handing_s = handing_s
                return cut
            batch = self.batches[number]
            batch.handing_s += handing_s
            running = self._running(task, batch)
            if place == self.board.sink:
                began = now_s()
                self.lander.land(batch)
                self.busy_s[place] += now_s() - began
                return None
            return self._work(place, batch, running)
        finally:
            self._mark.cpu_s = thread_time()

    def settle(self, task: Task, value: Any, error: BaseException | None) -> None:
        """Take in how it went."""
        place, number = task
        running = self.now.pop(task, None)
        if self.failures.get(number, (-1,))[0] == place:
            # Its time was up, and that has been taken in; now its worker is free, too.
            self.board.leave(place, number)
            self._forget()
            return
        if running is not None and running.expired_s is not None:
            error = StepTimedOut(running.name, running.expired_s)
        if error is not None:
            self._failed(place, number, error)
        elif place == 0 and value is None:
            self.board.end_source(number)
        else:
            if place == 0:
                self.batches[number] = value
            elif place < self.board.sink:
                self.busy_s[place] += value[2]
                self.batches[number].take_in(self.chain.names[place], value)
            else:
                self.cutter.landed(self.batches[number])
            self.board.done(place, number)
        self._forget()

    def limit_s(self, task: Task) -> float | None:
        """The stage's time limit for a batch."""
        place = task[0]
        return self.chain.stages[place - 1].timeout_s if 0 < place < self.board.sink else None

    def expire(self, task: Task, times: int) -> None:
        """Tell a stage that its time is up; without a retry, or the second time, it failed."""
        place, number = task
        stage, running = self.chain.stages[place - 1], self.now.get(task)
        assert stage.timeout_s is not None, "only limited stages expire"
        if running is not None:
            running.expired_s = stage.timeout_s
        self.places[place - 1].abandon(self.name(task))
        if number in self.failures:
            return  # that has been taken in, and a batch ends once
        if times > 1 or self.batches[number].attempts > stage.retries:
            self._fail(place, number, StepTimedOut(self.name(task), stage.timeout_s), True)

    def has_ready(self) -> bool:
        """Whether another batch can start somewhere."""
        return self.board.find() is not None

    def has_left(self) -> bool:
        """Whether anything is to come or on its way."""
        return self.board.left

    def tell_stop(self, reason: str) -> None:
        """Cancel the rest."""
        for running in list(self.now.values()):
            running.stopped = reason
        for place in set(self.places):
            place.take_back()
        self.cutter.interrupt()
        self.board.stop()

    def name(self, task: Task) -> str:
        """Stage and batch."""
        return f"{self.chain.names[task[0]]}[{task[1]}]"

    # Inside -----------------------------------------------------------------------------------

    def _find_places(self, executor: Executor | str) -> list[Place]:
        shared = place_of(executor, sum(stage.workers for stage in self.chain.stages))
        places = []
        for stage in self.chain.stages:
            own = stage.executor
            place = shared if own is None else place_of(own, stage.workers)
            place.accept(stage.name, stage.work)
            places.append(place)
        return places

    def _handing_s(self) -> float:
        """Processor time of this thread since its last task: what handing on costs, no waiting."""
        now = thread_time()
        return now - getattr(self._mark, "cpu_s", now)

    def _running(self, task: Task, batch: Batch) -> Running:
        name = self.name(task)
        batch.attempts += 1
        seed = seed_of(name) if self.deterministic else None
        place = self.places[task[0] - 1].here if task[0] < self.board.sink else None
        running = Running(name, batch.attempts, seed, place=place)
        running.stopped = self.crew.stop_reason
        self.now[task] = running
        set_current(running)
        return running

    def _work(self, place: int, batch: Batch, running: Running) -> Any:
        stage, where = self.chain.stages[place - 1], self.places[place - 1]
        call = (stage.work, batch.records, stage.each, list(stage.corrupt_types))
        began = now_s()
        if where.remote:
            answer: Answer = where.call(running, work_batch, call, {})
            # What the way to the executor and back cost is handing on, too.
            batch.handing_s += now_s() - began - answer[2]
        else:
            answer = work_batch(*call)
        if answer[1] and self.lander.dead_letter is None:
            raise CorruptRecord(stage.name, answer[1][0][2])
        return answer

    def _failed(self, place: int, number: int, error: BaseException) -> None:
        stopping = self.crew.stop_reason is not None
        if stopping and isinstance(error, Stopped | CancelledError):
            self.board.fail(place, number)
            return
        if 0 < place < self.board.sink and not stopping:
            stage = self.chain.stages[place - 1]
            if self.batches[number].attempts <= stage.retries and not self._is_late(number):
                self.board.pause(place, number)
                self.crew.at(now_s() + stage.retry_wait_s, lambda: self.board.again(number))
                return
        self._fail(place, number, error)

    def _is_late(self, number: int) -> bool:
        return self.board.failed_at is not None and number >= self.board.failed_at

    def _fail(
        self, place: int, number: int, error: BaseException, still_runs: bool = False
    ) -> None:
        self.failures[number] = (place, error)
        self.board.fail(place, number, still_runs)

    def _forget(self) -> None:
        """Drop batches that landed or never will."""
        board = self.board
        for number in list(self.batches):
            if number < board.next_to_land or (
                board.failed_at is not None
                and number >= board.failed_at
                and board.where(number) is None
                and not any(task[1] == number for task in self.now)
            ):
                del self.batches[number]

    def _close(self) -> None:
        self.cutter.close()
        for place in set(self.places):
            place.close()
        self.lander.close()
