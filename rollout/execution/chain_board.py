"""Which batch can go through which stage now. Pure: no clock, no thread.

Places: 0 is the source, then the stages, last the sink. A stage may work on as many batches as it
has workers, and together with those that wait behind it they may not be more than `workers +
buffer`: room for the result is taken before the work begins, so nobody ever holds a worker while
it waits for room. The batch that lands next needs no room: else later ones could fill a buffer that
it has to pass. Ready work nearest to the sink goes first, then the older batch.
"""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

Task = tuple[int, int]
"""Place and number of the batch, both from 0."""


class ChainBoard:
    """Where every batch of one run is.

    Args:
        workers: Of source, stages and sink.
        buffer: Batches that may wait between two of them.
        first: Number of the first batch: those before it landed in an earlier run.
    """

    def __init__(self, workers: Sequence[int], buffer: int, first: int = 0) -> None:
        self.workers = workers
        self.buffer = buffer
        self.sink = len(workers) - 1
        self.inbox: list[list[int]] = [[] for _ in workers]
        self.running: list[set[int]] = [set() for _ in workers]
        self.paused: dict[int, int] = {}
        self.next_cut = first
        self.next_to_land = first
        self.source_ended = False
        self.failed_at: int | None = None
        self.active = 0

    # Taking ----------------------------------------------------------------------------------

    def find(self) -> Task | None:
        """What would start next."""
        for place in range(self.sink, -1, -1):
            found = self.find_at(place)
            if found is not None:
                return found
        return None

    def find_at(self, place: int) -> Task | None:
        """What would start next at one place."""
        if len(self.running[place]) >= self.workers[place]:
            return None
        if place == 0:
            cuts = not self.source_ended and self.has_room(0)
            return (0, self.next_cut) if cuts else None
        inbox = self.inbox[place]
        if not inbox:
            return None
        is_next = inbox[0] == self.next_to_land
        starts = is_next or (place != self.sink and self.has_room(place))
        return (place, inbox[0]) if starts else None

    def has_room(self, place: int) -> bool:
        """Whether a result of this place would find room."""
        held = len(self.running[place]) + len(self.inbox[place + 1])
        return held < self.workers[place] + self.buffer

    def take(self, preferred: int | None = None) -> Task | None:
        """Start it, at a preferred place if it can."""
        found = None if preferred is None else self.find_at(preferred)
        if found is None:
            found = self.find()
        if found is None:
            return None
        place, number = found
        if place:
            heappop(self.inbox[place])
        else:
            self.next_cut += 1
            self.active += 1
        self.running[place].add(number)
        return found

    @property
    def left(self) -> bool:
        """Whether anything is still to come or on its way."""
        return not self.source_ended or self.active > 0

    # Ending ----------------------------------------------------------------------------------

    def done(self, place: int, number: int) -> None:
        """A batch is through a place."""
        self.running[place].discard(number)
        if place == self.sink:
            self.next_to_land = number + 1
            self.active -= 1
        elif self.failed_at is not None and number >= self.failed_at:
            self.active -= 1
        else:
            heappush(self.inbox[place + 1], number)

    def end_source(self, number: int) -> None:
        """The source had nothing for this batch: it has ended."""
        self.running[0].discard(number)
        self.active -= 1
        self.source_ended = True

    def pause(self, place: int, number: int) -> None:
        """It failed and waits for a further attempt, without a worker."""
        self.running[place].discard(number)
        self.paused[number] = place

    def again(self, number: int) -> None:
        """It may be tried again, unless an earlier batch has failed meanwhile."""
        place = self.paused.pop(number, None)
        if place is not None:
            heappush(self.inbox[place], number)

    def leave(self, place: int, number: int) -> None:
        """The work on a batch that has failed already has ended: its worker is free."""
        self.running[place].discard(number)

    def fail(self, place: int, number: int, still_runs: bool = False) -> None:
        """A batch failed for good: what is before it goes on, nothing after it starts or lands.

        Args:
            still_runs: Its time is up and its work has not ended; `leave` says when it has.
        """
        if not still_runs:
            self.running[place].discard(number)
        self.active -= 1
        self.source_ended = True
        if self.failed_at is None or number < self.failed_at:
            self.failed_at = number
        self._drop(self.failed_at)

    def stop(self) -> None:
        """Nothing starts any more."""
        self.source_ended = True
        self.failed_at = self.next_to_land
        self._drop(0)

    def _drop(self, first: int) -> None:
        """Drop waiting batches from this one on."""
        for inbox in self.inbox:
            kept = [number for number in inbox if number < first]
            self.active -= len(inbox) - len(kept)
            inbox[:] = kept
            heapify(inbox)
        for number in [number for number in self.paused if number >= first]:
            del self.paused[number]
            self.active -= 1

    def where(self, number: int) -> tuple[str, int] | None:
        """State and place of a batch: "running", "waiting" or "paused"; None before and after."""
        for place, running in enumerate(self.running):
            if number in running:
                return "running", place
        for place, inbox in enumerate(self.inbox):
            if number in inbox:
                return "waiting", place
        return ("paused", self.paused[number]) if number in self.paused else None
