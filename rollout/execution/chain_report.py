"""What a run of a chain gave: what landed, how busy each stage was, and how near it came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout.execution.crew import Span
from rollout.execution.trace import Slice, save

if TYPE_CHECKING:
    from rollout.execution.chain_engine import ChainEngine


@dataclass(frozen=True)
class StageTimes:
    """One place of a chain: source, stage or sink."""

    name: str
    workers: int
    busy_s: float


def speedup_bound(stages: Sequence[StageTimes]) -> float:
    """How many times faster than one stage after the other a chain can be: `sum / max(t / w)`."""
    widest = max((one.busy_s / one.workers for one in stages), default=0.0)
    return sum(one.busy_s for one in stages) / widest if widest else 1.0


@dataclass(frozen=True)
class ChainReport:
    """One run.

    Attributes:
        name: Of the chain.
        batches, records, rows: Landed by this run: records as in the source, rows as in the sink.
        from_batch, from_record: Where it went on behind an earlier run.
        dead: Records in the dead letter, those of earlier runs included.
        size: Records of a batch, as declared or as the engine found it; None by bytes.
        stages: Busy seconds of source, stages and sink.
        seconds: From the start to the end.
        output: What landed, when there was no sink.
        spans, started_s: What the trace is computed from; the newest, when there were very many.
    """

    name: str
    batches: int
    records: int
    rows: int
    from_batch: int
    from_record: int
    dead: int
    size: int | None
    stages: tuple[StageTimes, ...]
    seconds: float
    output: list[Any] = field(repr=False)
    spans: tuple[Span, ...] = field(repr=False)
    started_s: float = field(repr=False)

    @property
    def speedup(self) -> float:
        """Busy seconds of all places over the seconds that passed."""
        return sum(one.busy_s for one in self.stages) / self.seconds if self.seconds else 1.0

    @property
    def speedup_bound(self) -> float:
        """The largest there can be with these stages and workers."""
        return speedup_bound(self.stages)

    @property
    def bound_s(self) -> float:
        """Seconds that the busiest place alone takes."""
        return max((one.busy_s / one.workers for one in self.stages), default=0.0)

    @property
    def nearness(self) -> float:
        """How many times the bound the run took; 1 is the best there can be."""
        return self.seconds / self.bound_s if self.bound_s else 1.0

    @property
    def bottleneck(self) -> str:
        """The place that sets the bound: more workers there, or a smaller job, helps."""
        return max(self.stages, key=lambda one: one.busy_s / one.workers).name

    @cached_property
    def slices(self) -> tuple[Slice, ...]:
        """Each batch at each place."""
        names, zero = [one.name for one in self.stages], self.started_s
        return tuple(
            Slice(f"{names[place]}[{number}]", slot, start - zero, end - zero, well)
            for (place, number), slot, start, end, well in self.spans
        )

    def save_trace(self, folder: Path) -> list[Path]:
        """Write a Chrome trace and a flame graph; the critical path is the bottleneck's work."""
        begins = f"{self.bottleneck}["
        critical = [one for one in self.slices if one.name.startswith(begins)]
        return save(folder, self.name, self.slices, critical)

    def to_json(self) -> dict[str, Any]:
        """Everything but output and slices."""
        return {
            "name": self.name,
            "batches": self.batches,
            "records": self.records,
            "rows": self.rows,
            "from_batch": self.from_batch,
            "from_record": self.from_record,
            "dead": self.dead,
            "size": self.size,
            "stages": [vars(one) for one in self.stages],
            "seconds": self.seconds,
            "speedup": self.speedup,
            "speedup_bound": self.speedup_bound,
            "nearness": self.nearness,
            "bottleneck": self.bottleneck,
        }

    @classmethod
    def of(cls, engine: ChainEngine) -> ChainReport:
        """Read a run; under its lock."""
        chain, crew, lander = engine.chain, engine.crew, engine.lander
        size = chain.size if isinstance(chain.size, int) else None
        letter = lander.dead_letter
        return cls(
            name=chain.name,
            batches=lander.batches,
            records=lander.records,
            rows=lander.rows,
            from_batch=lander.position.batches,
            from_record=lander.position.records,
            dead=letter.tally.dead if letter is not None else 0,
            size=engine.sizer.size if engine.sizer is not None else size,
            stages=tuple(
                StageTimes(name, workers, busy_s)
                for name, workers, busy_s in zip(
                    chain.names, chain.workers, engine.busy_s, strict=True
                )
            ),
            seconds=(crew.ended_s or crew.started_s) - crew.started_s,
            output=lander.output,
            spans=tuple(crew.spans),
            started_s=crew.started_s,
        )
