"""The beginning of a batch's way: cut from the source, as large as declared or sought."""

from collections.abc import Sequence
from typing import Any

from rollout.execution.batch import Batch
from rollout.execution.landing import Position
from rollout.execution.shape import now_s
from rollout.execution.sizing import Auto, Bytes, Sizer
from rollout.execution.sources import Puller, Source


class Cutter:
    """Cuts batches; one thread at a time.

    Args:
        size: As the chain declares it.

    Attributes:
        sizer: Seeks the size, when it is sought.
        busy_s: Seconds that reading the source took.
    """

    def __init__(self, size: int | Bytes | Auto) -> None:
        self._size = size
        self.sizer = Sizer(size) if isinstance(size, Auto) else None
        self.busy_s = 0.0
        self._position = Position()
        self._puller: Puller | None = None

    @property
    def size(self) -> int | Bytes:
        """The size of the next batch."""
        if self.sizer is not None:
            return self.sizer.size
        assert not isinstance(self._size, Auto), "a sizer seeks it"
        return self._size

    def open(self, source: Source, position: Position) -> None:
        """Begin behind what has landed."""
        self._position = position
        self._puller = Puller(source, position.records)

    def cut(self, number: int) -> Batch | None:
        """Cut a batch; None when the source has ended.

        A batch that may have landed in an earlier run is cut as it was then.
        """
        puller = self._puller
        assert puller is not None, "open comes first"
        again = self._position.in_doubt if number == self._position.batches else None
        first, began = puller.position, now_s()
        records: Sequence[Any] = puller.pull(again or self.size)
        self.busy_s += now_s() - began
        if not records:
            return None
        return Batch(number, first, len(records), list(records), range(first, puller.position))

    def landed(self, batch: Batch) -> None:
        """Take in what a batch cost."""
        if self.sizer is not None:
            self.sizer.observe(batch.count, batch.handing_s, batch.work_s)

    def interrupt(self) -> None:
        """End a wait for an async source."""
        if self._puller is not None:
            self._puller.interrupt()

    def close(self) -> None:
        """Let the source clean up."""
        if self._puller is not None:
            self._puller.close()
