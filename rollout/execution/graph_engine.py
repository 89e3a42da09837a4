"""`GraphEngine`: one run of a graph.

    report = GraphEngine(Graph("nightly", [...]), workers=8).run()

The way of one step: ready (board) > slot (crew) > `may_go_on`? > its work, here or on an executor >
receipt > settled (board), which lets its dependents come. A receipt is written before a dependent
can start, so a run that goes on from receipts finds every parent of what it finds.
"""

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

from rollout.execution.board import Board
from rollout.execution.crew import Crew, now_s
from rollout.execution.declaration import Barrier, Step
from rollout.execution.errors import BarrierClosed, StepsFailed, StepTimedOut, Stopped
from rollout.execution.graph import Graph
from rollout.execution.paths import expected_s, remaining_s
from rollout.execution.places import Place, place_of
from rollout.execution.policies import StepState
from rollout.execution.receipts import StepReceipts
from rollout.execution.report import GraphReport
from rollout.execution.running import MayGoOn, Running, seed_of, set_current
from rollout.execution.why import Why, graph_idle_reason, why_step


class GraphEngine:
    """Runs a graph once.

    Args:
        graph: What to run.
        workers: Slots: how many steps run at once.
        executor: "threads" (the slots' own), "processes", or any `concurrent.futures.Executor`,
            such as Dask's `Client.get_executor()` or our `CeleryExecutor`. Checks of barriers run
            in the slots' threads.
        run_times: Seconds by step name from earlier runs; the longest remaining path starts first.
        stop_on_failure: Start nothing more after the first failed step; without it all runs that
            does not depend on it.
        deterministic: Results in declared order whatever ended first, and a seed per step.
        may_go_on: Asked before each new step; anything but True stops the run.
        receipts: Where finished steps are recorded; those found there do not run again.
        overdue_wait_s: Longest wait at the end for threads whose step ran over its limit.

    Raises:
        WrongDeclaration: Something here can never run; nothing has started.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        workers: int = 8,
        executor: Executor | str = "threads",
        run_times: Mapping[str, float] | None = None,
        stop_on_failure: bool = False,
        deterministic: bool = False,
        may_go_on: MayGoOn | None = None,
        receipts: StepReceipts | None = None,
        overdue_wait_s: float | None = None,
    ) -> None:
        self.graph = graph
        self.run_times = dict(run_times or {})
        self.stop_on_failure = stop_on_failure
        self.deterministic = deterministic
        self.receipts = receipts
        self.place: Place = place_of(executor, workers)
        for node in graph.nodes if self.place.remote else ():
            if isinstance(node, Step):
                self.place.accept(node.name, node.work)
        kept = {}
        if receipts is not None:
            receipts.open_for(graph)
            kept = {graph.index[name]: value for name, value in receipts.results().items()}
        self.board = Board(graph, remaining_s(graph, expected_s(graph, self.run_times)), kept)
        self.attempts = [0] * len(graph.nodes)
        self.now: dict[int, Running] = {}
        self.failed: dict[int, BaseException] = {}
        self.has_limits = any(node.timeout_s is not None for node in graph.nodes)
        self.crew = Crew(
            self,
            max(1, min(workers, len(graph.nodes))),
            may_go_on=may_go_on,
            overdue_wait_s=overdue_wait_s,
        )

    # For the caller ---------------------------------------------------------------------------

    def run(self, *, check: bool = True) -> GraphReport:
        """Run to the end.

        Args:
            check: Raise when a step did not succeed; the error carries the report.

        Raises:
            StepsFailed: At least one step failed, was blocked or cancelled.
            Stopped: `stop` was called, or `may_go_on` did not say yes.
            KeyboardInterrupt: By ctrl-C; nothing runs any more.
        """
        try:
            self.start()
            return self.wait(check=check)
        except BaseException as error:
            # Also when ctrl-C came between the two, or while threads were being started.
            self.crew.end(f"interrupted by {type(error).__name__}")
            raise

    def start(self) -> None:
        """Start and return; `wait` gives the report.

        Raises:
            WaitsForItself: A step runs this on the executor that it holds a place of.
        """
        try:
            self.place.open()
            self.crew.start()
        except BaseException:
            self._close()
            raise

    def wait(self, *, check: bool = True) -> GraphReport:
        """Wait for the end; arguments, result and errors as of `run`."""
        try:
            self.crew.wait()
        finally:
            self._close()
        report = self.report()
        if check and self.crew.stop_reason is not None and not self.failed:
            raise Stopped(self.crew.stop_reason)
        if check and not report.ok:
            raise StepsFailed(report)
        return report

    def stop(self, reason: str) -> None:
        """Start nothing more; running steps see it in `current().check()`."""
        self.crew.stop(reason)

    def why(self, step: str) -> Why:
        """Say what a step waits for, exactly, at this moment."""
        with self.crew.lock:
            return why_step(self, step)

    def report(self) -> GraphReport:
        """What there is so far."""
        with self.crew.lock:
            return GraphReport.of(self)

    # For the crew -----------------------------------------------------------------------------

    def take(self, last: int | None) -> int | None:
        """Start a step."""
        place = self.board.take()
        if place is not None:
            self.attempts[place] += 1
        return place

    def execute(self, place: int) -> Any:
        """Do the step's work and write its receipt."""
        node = self.graph.nodes[place]
        seed = seed_of(node.name) if self.deterministic else None
        running = Running(node.name, self.attempts[place], seed, place=self.place.here)
        self.now[place] = running
        if self.crew.stop_reason is not None:
            running.stopped = self.crew.stop_reason
        set_current(running)
        if isinstance(node, Barrier):
            value = self._check_barrier(node, place)
        else:
            results = self.board.results
            args = [
                results[source] if isinstance(source, int) else [results[one] for one in source]
                for source in self.graph.needs[place]
            ]
            if self.place.remote:
                value = self.place.call(running, node.work, [*args, *node.args], node.kwargs)
            else:
                value = node.work(*args, *node.args, **node.kwargs)
        if self.receipts is not None and running.expired_s is None:
            self.receipts.record(node.name, value)
        return value

    def settle(self, place: int, value: Any, error: BaseException | None) -> None:
        """Take in how an attempt ended."""
        running = self.now.pop(place, None)
        if self.board.holders:
            self.board.release(place)
        if self.board.states[place] is not StepState.RUNNING:
            return  # its time was up, and that has been taken in
        if running is not None and running.expired_s is not None:
            error = StepTimedOut(running.name, running.expired_s)
        if error is None:
            self.board.succeed(place, value)
        elif self.crew.stop_reason is not None and isinstance(error, Stopped):
            self.board.fail(place, error, StepState.CANCELLED, self.attempts[place])
        elif self.attempts[place] <= self.graph.nodes[place].retries and not self.crew.stop_reason:
            self._try_again(place)
        else:
            self._fail(place, error)

    def limit_s(self, place: int) -> float | None:
        """The step's time limit."""
        return self.graph.nodes[place].timeout_s

    def expire(self, place: int, times: int) -> None:
        """Tell an attempt that its time is up; without a retry, or the second time, it failed."""
        running, node = self.now.get(place), self.graph.nodes[place]
        assert node.timeout_s is not None, "only limited steps expire"
        if running is not None:
            running.expired_s = node.timeout_s
        self.place.abandon(node.name)
        last = self.attempts[place] > node.retries or times > 1
        if last and self.board.states[place] is StepState.RUNNING:
            self._fail(place, StepTimedOut(node.name, node.timeout_s))

    def has_ready(self) -> bool:
        """Whether steps are ready."""
        return self.board.ready > 0

    def has_left(self) -> bool:
        """Whether steps have not ended."""
        return self.board.left > 0

    def tell_stop(self, reason: str) -> None:
        """Cancel the rest."""
        # The work's threads add to and take from it without the lock.
        for running in list(self.now.values()):
            running.stopped = reason
        self.place.take_back()
        self.board.cancel_rest()

    def name(self, place: int) -> str:
        """The step's name."""
        return self.graph.nodes[place].name

    def idle_reason(self) -> str:
        """Why not every slot runs something; never empty while work is left."""
        with self.crew.lock:
            return graph_idle_reason(self)

    # Inside -----------------------------------------------------------------------------------

    def _close(self) -> None:
        self.place.close()
        if self.receipts is not None:
            self.receipts.close()

    def _check_barrier(self, barrier: Barrier, place: int) -> dict[str, Any]:
        assert barrier.check is not None, "without a check it needs no slot"
        before = self.board.before(place)
        came = barrier.check(before)
        if came is not True:
            raise BarrierClosed(barrier.name, came)
        return before

    def _try_again(self, place: int) -> None:
        wait_s = self.graph.nodes[place].retry_wait_s
        if not wait_s:
            self.board.again(place)
            return
        self.board.pause(place)

        def resume() -> None:
            if self.board.states[place] is StepState.READY:
                self.board.again(place)

        self.crew.at(now_s() + wait_s, resume)

    def _fail(self, place: int, error: BaseException) -> None:
        self.failed[place] = error
        self.board.fail(place, error, StepState.FAILED, self.attempts[place])
        if self.stop_on_failure:
            self.crew.stop(f"step {self.graph.nodes[place].name!r} failed")
