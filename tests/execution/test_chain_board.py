"""The board of a chain on a virtual clock: order, room, and the prefix under failure."""

from heapq import heappop, heappush

from hypothesis import given
from hypothesis import strategies as st

from rollout.execution.chain_board import ChainBoard, Task

PACES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


class Played:
    """One run in units of time."""

    def __init__(
        self,
        workers: list[int],
        buffer: int,
        batches: int,
        units: dict[Task, int],
        failing: dict[int, int],
    ) -> None:
        self.board = ChainBoard([1, *workers, 1], buffer)
        self.landed: list[int] = []
        self.started: list[Task] = []
        self.waiting_max = [0] * (len(workers) + 2)
        running: list[tuple[int, Task]] = []
        now = 0
        while self.board.left:
            while (task := self.board.take()) is not None:
                self.started.append(task)
                heappush(running, (now + units.get(task, 1), task))
                assert len(self.board.running[task[0]]) <= self.board.workers[task[0]]
            assert running, "something is left, so something runs"
            now, task = heappop(running)
            self.end(task, batches, failing)
            for place, inbox in enumerate(self.board.inbox):
                self.waiting_max[place] = max(self.waiting_max[place], len(inbox))
        assert not running
        assert self.board.active == 0

    def end(self, task: Task, batches: int, failing: dict[int, int]) -> None:
        """Tell the board how a task ended."""
        place, number = task
        if place == 0 and number >= batches:
            self.board.end_source(number)
        elif failing.get(number) == place:
            self.board.fail(place, number)
        else:
            self.board.done(place, number)
            if place == self.board.sink:
                self.landed.append(number)


@st.composite
def plays(draw: st.DrawFn, fails: bool) -> tuple[Played, list[int], int, int, int | None]:
    """A played run, with what went into it."""
    workers = draw(PACES)
    buffer = draw(st.integers(1, 3))
    batches = draw(st.integers(0, 12))
    tasks = [(place, number) for place in range(len(workers) + 2) for number in range(batches)]
    units = {task: draw(st.integers(1, 19)) for task in tasks}  # 10 with a jitter of 90 %
    failing = {}
    if fails:
        places = st.integers(0, len(workers) + 1)
        failing = draw(st.dictionaries(st.integers(0, max(0, batches - 1)), places, max_size=3))
    failing = {number: place for number, place in failing.items() if number < batches}
    played = Played(workers, buffer, batches, units, failing)
    return played, workers, buffer, batches, min(failing, default=None)


@given(plays(fails=False))
def test_everything_lands_in_order(drawn: tuple[Played, list[int], int, int, int | None]) -> None:
    """Under a jitter of 90 %: each batch once at each place, none overtakes another at the sink."""
    played, workers, _, batches, _ = drawn
    assert played.landed == list(range(batches))
    assert len(set(played.started)) == len(played.started)
    assert len(played.started) == batches * (len(workers) + 2) + 1


@given(plays(fails=False))
def test_buffers_are_bounded(drawn: tuple[Played, list[int], int, int, int | None]) -> None:
    """Behind a place wait at most its workers and the buffer; one more for the next to land."""
    played, workers, buffer, _, _ = drawn
    for place, most in enumerate(played.waiting_max[1:]):
        assert most <= [1, *workers][place] + buffer + 1


@given(plays(fails=True))
def test_the_prefix_lands(drawn: tuple[Played, list[int], int, int, int | None]) -> None:
    """When batches fail, wherever: all before the first of them land, nothing from it on does."""
    played, _, _, batches, first = drawn
    assert played.landed == list(range(batches if first is None else first))


def test_a_late_batch_finds_room_though_later_ones_fill_the_buffer() -> None:
    """The next to land needs no room; else it would wait for those that wait for it."""
    board = ChainBoard([1, 3, 1, 1], 1)
    for number in range(3):
        assert board.take(0) == (0, number)
        board.done(0, number)
        assert board.take(1) == (1, number)
    board.done(1, 1)
    assert board.take(2) == (2, 1)
    board.done(2, 1)
    board.done(1, 2)
    assert board.take(2) == (2, 2)
    board.done(2, 2)
    assert not board.has_room(2), "both wait before the sink"
    board.done(1, 0)
    assert board.take(2) == (2, 0)


def test_after_a_stop_nothing_starts() -> None:
    """What waits is dropped; what runs may end."""
    board = ChainBoard([1, 1, 1], 2)
    assert board.take() == (0, 0)
    board.done(0, 0)
    assert board.take() == (1, 0)
    assert board.take() == (0, 1)
    board.stop()
    board.done(1, 0)
    board.done(0, 1)
    assert board.take() is None
    assert not board.left


def test_where_a_batch_is() -> None:
    """Running, waiting, paused, or nowhere."""
    board = ChainBoard([1, 1, 1], 2)
    board.take()
    assert board.where(0) == ("running", 0)
    board.done(0, 0)
    assert board.where(0) == ("waiting", 1)
    assert board.take(1) == (1, 0)
    board.pause(1, 0)
    assert board.where(0) == ("paused", 1)
    board.again(0)
    assert board.where(0) == ("waiting", 1)
    assert board.where(1) is None


def test_a_later_failure_brings_nothing_back() -> None:
    """The first failed batch decides, whichever fails after it; what is between is dropped."""
    board = ChainBoard([1, 3, 1], 2)
    for number in range(3):
        assert board.take(0) == (0, number)
        board.done(0, number)
        assert board.take(1) == (1, number)
    board.fail(1, 0)
    board.fail(1, 2)
    board.done(1, 1)
    assert board.failed_at == 0
    assert board.take() is None
    assert not board.left


def test_an_earlier_failure_counts_more() -> None:
    """What waited behind it is dropped then."""
    board = ChainBoard([1, 3, 1], 2)
    for number in range(3):
        assert board.take(0) == (0, number)
        board.done(0, number)
        assert board.take(1) == (1, number)
    board.done(1, 1)
    board.fail(1, 2)
    board.fail(1, 0)
    assert board.failed_at == 0
    assert not board.left
