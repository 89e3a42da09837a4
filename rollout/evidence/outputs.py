"""Does the concurrent path return something else, beyond what legacy does by itself?

Each field that ever differed has a test of its own: how often new differs from old, against how
often old, run again on the same input, differs from old (A/A). A time stamp differs in both and is
noise; a wrong total differs in one. A run that raises differs in the field `(raised)`.

The tests share one alpha: the n-th field to appear bets with the weight 1 / (n (n + 1)), and its
first appearance, which chose it, is not among its evidence. The weighted sum of their wealth is the
statistic, so the limit of the n-th field by itself is n (n + 1) / alpha.

Source: as `betting`; weights as in Vovk & Wang, "E-values: calibration, combination and
applications", Ann. Statist. 2021 (an average of e-values is one).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import AfterValidator

from rollout.evidence.betting import Bet, Family, Margin
from rollout.evidence.counts import Counts
from rollout.evidence.detectable import detectable_rate
from rollout.evidence.process import BettingProcess, BettingState
from rollout.evidence.stored import Count, Flag, Stored, StoredRow, Text
from rollout.evidence.verdict import Finding, Verdict

SHADOW_OUTPUT = "shadow_output"
"""Metric of the finding."""

OUTPUT_ALPHA = 0.01
"""Chance of a false REGRESS, however long the shadow runs and however often one looks."""

OUTPUT_MARGIN = Margin(1.1, 0.001)
"""New may differ 1.1 times as often as old from old, and in one shadow of a thousand more."""

FIELDS_MAX = 40
"""Fields with a test of their own; the rest share the last one."""
REST = "(other fields)"

PROCESS = BettingProcess(
    (
        Bet(Family.RATIO, 2.5, 0.15),
        Bet(Family.RATIO, 15.0, 0.20),
        Bet(Family.RATIO, 100.0, 0.20),
        Bet(Family.HALF, 0.9, 0.15),
        Bet(Family.SUCCESS, 0.1, 0.30),
    ),
    OUTPUT_MARGIN,
    OUTPUT_ALPHA,
    # Shadows may come minutes or hours apart, which a block of at most 30 minutes would discard;
    # both runs of the comparison are made on inputs of the same share of jobs, in turn.
    restarting=False,
)


@dataclass(frozen=True, slots=True)
class FieldTest(StoredRow):
    """One field: in how many runs it differed, and its bets.

    Attributes:
        name: The field, such as `lines[*].price`.
        k_new: Shadows of the concurrent path in which it differed.
        k_old: Legacy runs, again, in which it differed.
        betting: Evidence since its first appearance.
    """

    name: Text
    k_new: Count
    k_old: Count
    betting: Annotated[BettingState, AfterValidator(PROCESS.checked)]

    @property
    def is_noise(self) -> bool:
        """Whether legacy does not agree with itself here."""
        return self.k_old > 0


@dataclass(frozen=True, slots=True)
class Outputs(Stored):
    """The state of all fields' tests; about 500 bytes of JSON for each that ever differed.

    Attributes:
        new: Shadows of the concurrent path that were compared, or raised.
        old: The same of legacy run again.
        fields: In the order of their first appearance.
        guilty: Fields named when the limit was reached; empty while it is not.
        latched: Whether it was.
    """

    new: Count = 0
    old: Count = 0
    fields: tuple[FieldTest, ...] = ()
    guilty: tuple[Text, ...] = ()
    latched: Flag = False

    def observe(self, again: bool, differing: Collection[str]) -> Outputs:
        """Take in one run.

        Args:
            again: Whether it was legacy's own path, run again.
            differing: Fields in which it differs from the first legacy run.

        Returns:
            The next state.
        """
        known = {field.name for field in self.fields}
        room = FIELDS_MAX - len(self.fields)
        fresh = sorted(set(differing) - known - {REST})
        named, spilled = fresh[: max(0, room)], fresh[max(0, room) :]
        hits = set(differing) | ({REST} if spilled else set())
        fields = [_next(field, again, field.name in hits) for field in self.fields]
        if spilled and REST not in known:
            named.append(REST)
        for name in named:
            fields.append(FieldTest(name, int(not again), int(again), PROCESS.fresh()))
        after = replace(
            self,
            new=self.new + int(not again),
            old=self.old + int(again),
            fields=tuple(fields),
        )
        if self.latched or after.statistic < 1 / OUTPUT_ALPHA:
            return after
        return replace(after, latched=True, guilty=after.suspects())

    @property
    def statistic(self) -> float:
        """The evidence that outputs differ beyond noise, >= 0."""
        return sum(
            PROCESS.statistic(field.betting) / (rank * (rank + 1))
            for rank, field in enumerate(self.fields, start=1)
        )

    def suspects(self) -> tuple[str, ...]:
        """Fields that differ and are not noise, those with the most evidence first; at most 5."""
        found = [field for field in self.fields if _stands_out(field, self.new, self.old)]
        found.sort(key=lambda field: (-PROCESS.statistic(field.betting), field.name))
        return tuple(field.name for field in found[:5])

    @property
    def noise(self) -> tuple[FieldTest, ...]:
        """Fields in which legacy does not agree with itself."""
        return tuple(field for field in self.fields if field.is_noise)

    def finding(self) -> Finding:
        """Say what the tests say now; `detectable` is a share of shadows that differ."""
        counts = Counts(self.new, 0, self.old, 0)
        # As for the first field to appear, whose weight is one half.
        first = replace(PROCESS, alpha=OUTPUT_ALPHA / 2)
        detectable = detectable_rate(first, counts)
        verdict, sentence = self._judge(detectable)
        return Finding(
            SHADOW_OUTPUT,
            verdict,
            self.statistic,
            1 / OUTPUT_ALPHA,
            self.new,
            self.old,
            detectable,
            sentence,
        )

    def _judge(self, detectable: float | None) -> tuple[Verdict, str]:
        counted = f"{self.new} shadows, {self.old} runs of legacy again"
        if self.latched:
            named = self._named(self.guilty)
            return Verdict.REGRESS, f"Outputs differ beyond legacy's own noise: {named}."
        if not self.new or not self.old:
            missing = "shadow" if not self.new else "run of legacy again to know the noise"
            return Verdict.INSUFFICIENT, f"{counted}: no {missing} yet."
        unexplained = tuple(field.name for field in self.fields if field.k_new and not field.k_old)
        if unexplained:
            named = self._named(unexplained[:5])
            return Verdict.INSUFFICIENT, f"{counted}: not explained by noise yet: {named}."
        if detectable is None:
            return Verdict.INSUFFICIENT, f"{counted}: too few to have shown a difference."
        noise = f"; noise: {self._named(tuple(f.name for f in self.noise[:5]))}"
        return Verdict.PASS, (
            f"{counted}: no difference beyond noise; one in {detectable:.1%} of the shadows or "
            f"more would have shown{noise if self.noise else ''}."
        )

    def _named(self, names: Collection[str]) -> str:
        by_name = {field.name: field for field in self.fields}
        return "; ".join(
            f"{name} in {by_name[name].k_new} of {self.new} against {by_name[name].k_old} of "
            f"{self.old}"
            for name in names
        )


def _next(field: FieldTest, again: bool, hit: bool) -> FieldTest:
    k = int(hit)
    tick = Counts(0, 0, 1, k) if again else Counts(1, k, 0, 0)
    return FieldTest(
        field.name,
        field.k_new + (0 if again else k),
        field.k_old + (k if again else 0),
        PROCESS.observe(field.betting, tick, 0.0),
    )


def _stands_out(field: FieldTest, new: int, old: int) -> bool:
    rate_old = field.k_old / old if old else 0.0
    return field.k_new > 0 and field.k_new / max(new, 1) > OUTPUT_MARGIN.limit(rate_old)
