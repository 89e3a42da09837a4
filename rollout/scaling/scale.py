"""The verdict of a scale test: keep buying, soon flat, flat, worse; or not enough to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from rollout.scaling.doublings import Doubling, doublings
from rollout.scaling.limits import Limit, Limited, limited_by
from rollout.scaling.slices import Measured

KEEP_MIN, SOON_MIN, FLAT_MIN = 1.6, 1.15, 0.95
"""Of a doubling that is worth 2 at most: four fifths of it, a hint of it, and none."""


class Class(StrEnum):
    """What the last doubling says about the next one."""

    KEEP_BUYING = "keep buying"
    """Twice the workers still do at least 1.6 times as much."""
    SOON_FLAT = "soon flat"
    """Twice the workers do 1.15 to 1.6 times as much: the next doubling will buy little."""
    FLAT = "flat"
    """Twice the workers do as much as before."""
    WORSE = "worse"
    """Twice the workers do less than before."""
    UNKNOWN = "not enough to say"
    """Too few jobs, or rounds that differ too much."""


_ORDER = [Class.WORSE, Class.FLAT, Class.SOON_FLAT, Class.KEEP_BUYING]


@dataclass(frozen=True, slots=True)
class ScaleTest:
    """What a scale test says.

    Attributes:
        measured: What it is made of.
        doublings: Each doubling with its ratio.
        verdict: The class.
        sentence: It in words, with what to do.
        limited: What limits it; None where fewer than two levels were measured.
    """

    measured: Measured
    doublings: Sequence[Doubling]
    verdict: Class
    sentence: str
    limited: Limited | None

    def to_json(self) -> dict[str, Any]:
        """What scripts read; rates are jobs a second, memory bytes."""
        measured = self.measured
        return {
            "name": measured.name,
            "verdict": str(self.verdict),
            "sentence": self.sentence,
            "doublings": [asdict(one) for one in self.doublings],
            "levels": [
                {
                    "workers": level,
                    "jobs": sum(one.jobs for one in measured.at(level)),
                    "failed": sum(use.failed for one in measured.at(level) for use in one.uses),
                    "rate": rate_at(measured, level),
                }
                for level in measured.levels
            ],
            "limit": None if self.limited is None else {
                "what": str(self.limited.limit), "sentence": self.limited.sentence,
                "at_once": self.limited.at_once, "alone": asdict(self.limited.alone),
                "among": asdict(self.limited.among), "busy_cores": self.limited.busy_cores,
                "others_cores": self.limited.others_cores,
            },
            "cores": measured.cores,
            "inputs": measured.inputs,
            "source": measured.source,
            "ended": measured.ended,
            "took": {
                "seconds": measured.seconds, "cpu_s": measured.cpu_s,
                "memory_bytes": measured.memory_bytes,
                "jobs": float(sum(one.jobs for one in measured.slices)),
            },
        }  # fmt: skip


def rate_at(measured: Measured, workers: int) -> float:
    """Jobs a second with so many workers, the mean of its slices."""
    slices = measured.at(workers)
    return sum(one.rate for one in slices) / len(slices) if slices else 0.0


def judge(measured: Measured) -> ScaleTest:
    """Say what twice the workers buy, and what stands in the way."""
    pairs = doublings(measured)
    if not pairs:
        why = measured.ended or "only one number of workers was measured"
        return ScaleTest(measured, pairs, Class.UNKNOWN, f"Not enough to say: {why}.", None)
    limited = limited_by(measured)
    last = pairs[-1]
    verdict = class_of(last)
    return ScaleTest(measured, pairs, verdict, _sentence(verdict, last, limited), limited)


def class_of(one: Doubling) -> Class:
    """The class of a doubling; unknown when its interval covers more than two of them."""
    at = _class(one.ratio)
    if one.low is None or one.high is None:
        return Class.UNKNOWN
    low, high = _class(one.low), _class(one.high)
    if _ORDER.index(high) - _ORDER.index(low) > 1:
        return Class.UNKNOWN
    # A ratio just below 1 whose interval holds 1 is no proof of a loss.
    return Class.FLAT if at is Class.WORSE and one.high >= 1 else at


def _class(ratio: float) -> Class:
    if ratio >= KEEP_MIN:
        return Class.KEEP_BUYING
    if ratio >= SOON_MIN:
        return Class.SOON_FLAT
    return Class.FLAT if ratio >= FLAT_MIN else Class.WORSE


_ADVICE = {
    Limit.NONE: "",
    Limit.CPU: "More cores would go on; more workers on these do not.",
    Limit.SHARED_CORES: "More workers on one machine slow each other; a second machine may not.",
    Limit.LOCK: "Take the lock away or hold it shorter, before any hardware.",
    Limit.POOL: "Make the pool larger, or ask it less often, before any hardware.",
    Limit.MEMORY: "More memory, or jobs that need less of it.",
    Limit.UNKNOWN: "",
}


def _sentence(verdict: Class, last: Doubling, limited: Limited) -> str:
    limit = f" The limit is {limited.limit}: {limited.sentence}."
    if limited.limit is Limit.NONE:
        limit = ""
    if verdict is Class.UNKNOWN:
        spread = "" if last.low is None else f", from {last.low:.2f} to {last.high:.2f}"
        return (
            f"Not enough to say: {last.many} workers did {last.ratio:.2f} times what {last.few} "
            f"did{spread}; measure longer (--seconds) or when it is quiet.{limit}"
        )
    words = {
        Class.KEEP_BUYING: "Keep buying",
        Class.SOON_FLAT: "Soon flat",
        Class.FLAT: "Flat",
        Class.WORSE: "Worse",
    }[verdict]
    sentence = (
        f"{words}: {last.many} workers do {last.ratio:.2f} times what {last.few} do "
        f"({last.low:.2f} to {last.high:.2f})."
    )
    if verdict is Class.KEEP_BUYING:
        return sentence
    advice = _ADVICE[limited.limit]
    return f"{sentence}{limit}{' ' + advice if advice else ''}"
