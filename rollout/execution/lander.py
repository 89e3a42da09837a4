"""The end of a batch's way: dead letters, sink, receipt, in this order, one batch at a time."""

from typing import Any

from rollout.execution.batch import Batch
from rollout.execution.dead_letter import DeadLetter
from rollout.execution.landing import BatchReceipts, Landing, Position, Sink


class Lander:
    """Lands batches and counts them.

    Args:
        chain: Name, for receipts and keys.
        sink: None collects the records in `output`.
        receipts, dead_letter: None keeps none.

    Attributes:
        position: Where this run began.
        batches, records, rows: Landed in this run; records as in the source, rows as in the sink.
        output: What landed, without a sink.
    """

    def __init__(
        self,
        chain: str,
        sink: Sink | None,
        receipts: BatchReceipts | None,
        dead_letter: DeadLetter | None,
    ) -> None:
        self.chain, self.sink = chain, sink
        self.receipts, self.dead_letter = receipts, dead_letter
        self.position = Position()
        self.batches = self.records = self.rows = 0
        self.output: list[Any] = []

    def open(self) -> Position:
        """Say where to go on."""
        if self.receipts is not None:
            self.position = self.receipts.open_for(self.chain)
        if self.dead_letter is not None:
            self.dead_letter.open_for(self.chain, self.position.batches, self.position.records)
        return self.position

    def land(self, batch: Batch) -> None:
        """Land one batch; an error means that it has not landed.

        Raises:
            TooManyDeadLetters: A cap is exceeded.
            Exception: What the sink or the receipts raised.
        """
        if self.dead_letter is not None:
            self.dead_letter.take(batch.number, batch.first, batch.count, batch.rejected)
        again = batch.number == self.position.batches and self.position.in_doubt is not None
        key = f"{self.chain}:{batch.first}"
        landing = Landing(batch.number, batch.first, batch.count, key, again)
        if self.receipts is None:
            self._give(batch, landing)
        else:
            with self.receipts.landing(landing) as held:
                self._give(batch, held)
        self.batches += 1
        self.records += batch.count
        self.rows += len(batch.records)

    def _give(self, batch: Batch, landing: Landing) -> None:
        if self.sink is None:
            self.output.extend(batch.records)
        else:
            self.sink(batch.records, landing)

    def close(self) -> None:
        """Let others have receipts and dead letter."""
        if self.receipts is not None:
            self.receipts.close()
        if self.dead_letter is not None:
            self.dead_letter.close()
