"""The threads that carry a run: one lock, no polling, woken one by one.

Design. The shape (a graph or a chain) decides what can run; the crew has slots, one thread each,
and does what the shape says. All decisions happen under one lock, which is held for microseconds;
work happens outside it. A thread that ends a task settles it and takes the next in the same hold of
the lock; a thread that finds nothing parks on a lock of its own, and whoever made more work than it
takes itself wakes exactly one, which wakes the next. The caller's thread only waits, so ctrl-C
cannot tear a decision apart. A further thread keeps time, and exists only when a limit or a pause
does. A run ends when nothing is left and nothing runs; when something is left and nothing could
ever start, it ends with `Stalled` instead of waiting for ever.
"""

import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from heapq import heappop, heappush
from itertools import count
from threading import Condition, Event, Lock, RLock, Thread, current_thread
from typing import Any, Protocol, TypeVar

from rollout.execution.errors import Stalled, StillRuns, Stopped
from rollout.execution.running import MayGoOn, asked

now_s = time.perf_counter
TaskT = TypeVar("TaskT")

Span = tuple[Any, int, float, float, bool]
"""Task, number of the slot, start and end by the monotonic clock in seconds, and if it was well."""


class Shape(Protocol[TaskT]):
    """What the crew needs of a graph or a chain. All but `execute` is called under the lock."""

    def take(self, last: TaskT | None) -> TaskT | None:
        """Start a task, or say that none can start now; `last` is what this slot just ended."""
        ...

    def execute(self, task: TaskT) -> Any:
        """Do its work, without the lock."""
        ...

    def settle(self, task: TaskT, value: Any, error: BaseException | None) -> None:
        """Take in how it ended; its slot is free now."""
        ...

    has_limits: bool
    """Whether any task may have a time limit."""

    def limit_s(self, task: TaskT) -> float | None:
        """Its time limit in seconds."""
        ...

    def expire(self, task: TaskT, times: int) -> None:
        """It ran over its limit, for the first or the second time."""
        ...

    def has_ready(self) -> bool:
        """Whether another slot may find work."""
        ...

    def has_left(self) -> bool:
        """Whether anything is not finished."""
        ...

    def tell_stop(self, reason: str) -> None:
        """The run stops: cancel what has not started, tell what runs."""
        ...

    def name(self, task: TaskT) -> str:
        """The task in words."""
        ...

    def idle_reason(self) -> str:
        """Why a free slot has nothing to do."""
        ...


class Crew:
    """Slots, lock and time of one run.

    Args:
        shape: What to run.
        slots: How many tasks run at once.
        may_go_on: Asked before each task; what is not a clear yes stops the run.
        overdue_wait_s: How long to wait at the end for work that ran over its limit, in seconds;
            None waits until it ends.
        spans_max: How many of the newest spans are kept for the trace.
    """

    def __init__(
        self,
        shape: Shape[Any],
        slots: int,
        *,
        may_go_on: MayGoOn | None = None,
        overdue_wait_s: float | None = None,
        spans_max: int | None = None,
    ) -> None:
        self.shape = shape
        self.slots = slots
        self.may_go_on = may_go_on if may_go_on is not None else asked()
        self.overdue_wait_s = overdue_wait_s
        # A signal handler may call `stop` while its thread holds the lock for `why`.
        self.lock = RLock()
        self.running: dict[Any, tuple[int, float]] = {}
        self.overdue: set[Any] = set()
        self.spans: deque[Span] = deque(maxlen=spans_max)
        self.stop_reason: str | None = None
        self.fault: BaseException | None = None
        self.started_s = self.ended_s = 0.0
        self._parked: list[Any] = []
        self._threads: list[Thread] = []
        self._at_work = 0
        self._done = Event()
        self._abandoned = False
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._time = Condition(self.lock)
        self._keeper: Thread | None = None

    # What the caller's thread does ------------------------------------------------------------

    def start(self) -> None:
        """Start the threads; they end by themselves."""
        self.started_s = now_s()
        if not self.shape.has_left():
            self.ended_s = self.started_s
            self._done.set()
            return
        for number in range(self.slots):
            thread = Thread(
                target=copy_context().run,
                args=(self._guarded, number),
                name=f"execution-{number}",
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()

    def end(self, reason: str) -> None:
        """Stop, and wait for what runs; does nothing to a run that has ended or was left."""
        if self._abandoned:
            return
        self.stop(reason)
        self._join()

    def is_over(self, within_s: float) -> bool:
        """Wait up to so many seconds, and say whether the run has ended."""
        return self._done.wait(within_s)

    def stop(self, reason: str) -> None:
        """Start nothing more; what runs is told and may end. Safe from a signal handler."""
        with self.lock:
            if self.stop_reason is not None or self._done.is_set():
                return
            self.stop_reason = reason
            self.shape.tell_stop(reason)
            self._timers.clear()
            self._wake_all()

    def wait(self) -> None:
        """Wait for the end of the run and of its threads.

        Raises:
            KeyboardInterrupt, or what a signal handler raised: after the run was stopped and what
                ran had ended. A second one does not wait.
            StillRuns: Work over its limit did not end in time; its daemon thread is left.
            Stalled: A fault of the engine.
        """
        try:
            self._await_end()
        except StillRuns:
            raise
        except BaseException as interruption:
            self.stop(f"interrupted by {type(interruption).__name__}")
            try:
                self._await_end()
            except StillRuns:
                pass  # what interrupted the run counts; what is left was waited for as told
            except BaseException:
                self._abandoned = True
                raise
            raise
        if self.fault is not None:
            raise self.fault

    def _await_end(self) -> None:
        # Without a limit on anything there is nothing to look at before the end.
        while not self._done.wait(None if self.overdue_wait_s is None else 0.05):
            self._check_overdue()
        self._join()

    def _join(self) -> None:
        # One that was being started when an interruption came has no identity yet: it finds the
        # run stopped, and ends by itself.
        for thread in [*self._threads, *([self._keeper] if self._keeper else [])]:
            if thread is not current_thread() and thread.ident is not None:
                thread.join()

    def _check_overdue(self) -> None:
        with self.lock:
            if self.shape.has_left() and self.stop_reason is None:
                return
            if set(self.running) - self.overdue or not self.overdue:
                return
            since = max(self.running[task][1] for task in self.overdue)
            waited_s = now_s() - max(since, self._last_end_s())
            assert self.overdue_wait_s is not None, "only a wait that is limited is looked at"
            if waited_s >= self.overdue_wait_s:
                self.ended_s = now_s()
                self._abandoned = True
                self._wake_all()
                raise StillRuns([self.shape.name(task) for task in self.overdue], waited_s)

    def _last_end_s(self) -> float:
        return self.spans[-1][3] if self.spans else self.started_s

    # What a slot's thread does ----------------------------------------------------------------

    def _guarded(self, number: int) -> None:
        with self.lock:
            self._at_work += 1
        try:
            self._loop(number)
        except BaseException as fault:
            # Nothing of a step's own comes here: it is the engine that is broken, so all ends.
            self.fault = fault
            self.stop(f"a fault of the engine: {fault!r}")
        finally:
            with self.lock:
                self._at_work -= 1
                self._wake_all()
                if not self._at_work:
                    # A thread that starts late, when the others have done it all, ends later.
                    self.ended_s = self.ended_s or now_s()
                    self._done.set()

    def _loop(self, number: int) -> None:
        shape, running, spans = self.shape, self.running, self.spans
        has_limits, may_go_on = shape.has_limits, self.may_go_on
        # Never by waiting: a thread that was given the lock while another has the interpreter
        # holds up everybody, and with work of microseconds two threads then swap at each step
        # (30 us a step instead of 4 on two cores).
        acquire, release, yield_to_others = self.lock.acquire, self.lock.release, time.sleep
        park = Lock()
        park.acquire()
        task: Any = None
        last: Any = None
        value: Any = None
        error: BaseException | None = None
        began = ended = 0.0
        while True:
            while not acquire(False):
                yield_to_others(0)
            try:
                if task is not None:
                    del running[task]
                    if self.overdue:
                        self.overdue.discard(task)
                    if ended:
                        spans.append((task, number, began, ended, error is None))
                    shape.settle(task, value, error)
                    last = task
                    task = value = error = None
                if self.stop_reason is None:
                    task = shape.take(last)
                if task is None:
                    if self._is_over():
                        return
                    self._parked.append(park)
                else:
                    began = now_s()
                    running[task] = (number, began)
                    if has_limits:
                        self._limit(task, began)
                    if self._parked and shape.has_ready():
                        self._parked.pop().release()
            finally:
                release()
            if task is None:
                park.acquire()
                continue
            if may_go_on is not None and not self._asked():
                error, ended = self._refused(task), 0.0
                continue
            began = now_s()
            try:
                value = shape.execute(task)
            except BaseException as raised:
                error = raised
            ended = now_s()

    def _is_over(self) -> bool:
        """Whether a slot without work can end; under the lock."""
        if self.running and not (self._abandoned and self.running.keys() <= self.overdue):
            return False
        if self.stop_reason is None and self.shape.has_left():
            if self._timers:
                return False
            self.fault = Stalled(self.shape.idle_reason())
            self.stop("stalled")
        return True

    def _asked(self) -> bool:
        assert self.may_go_on is not None, "asked only when there is somebody to ask"
        try:
            return self.may_go_on() is True
        except Exception as error:
            # In doubt, no: a store that does not answer has not said yes.
            self.stop(f"may_go_on raised {type(error).__name__}: {error}")
            return False

    def _refused(self, task: Any) -> BaseException:
        self.stop(f"may_go_on said no before {self.shape.name(task)}")
        return Stopped(self.stop_reason or "")

    # Waking and time --------------------------------------------------------------------------

    def _wake_all(self) -> None:
        while self._parked:
            self._parked.pop().release()
        self._time.notify_all()

    def _limit(self, task: Any, began: float) -> None:
        limit_s = self.shape.limit_s(task)
        if limit_s is not None:
            self.at(began + limit_s, lambda: self._expire(task, began, limit_s, 1))

    def _expire(self, task: Any, began: float, limit_s: float, times: int) -> None:
        if self.running.get(task, (0, 0.0))[1] != began:
            return
        self.overdue.add(task)
        self.shape.expire(task, times)
        if times == 1:
            self.at(now_s() + limit_s, lambda: self._expire(task, began, limit_s, 2))

    def at(self, when_s: float, action: Callable[[], None]) -> None:
        """Have something done at a time, under the lock, and a slot look for work then.

        Called under the lock.
        """
        heappush(self._timers, (when_s, next(self._numbers), action))
        if self._keeper is None:
            self._keeper = Thread(target=self._keep_time, name="execution-time", daemon=True)
            self._keeper.start()
        self._time.notify_all()

    def _keep_time(self) -> None:
        with self.lock:
            while self._at_work and not self._abandoned:
                if not self._timers:
                    self._time.wait()
                    continue
                pause_s = self._timers[0][0] - now_s()
                if pause_s > 0:
                    self._time.wait(pause_s)
                    continue
                heappop(self._timers)[2]()
                # Work may have come, or the last hope of it gone.
                if self._parked:
                    self._parked.pop().release()
