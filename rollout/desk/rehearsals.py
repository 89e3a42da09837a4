"""What rehearsals came to: a timeline of decisions, and policies beside peers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import isinf

from rollout.desk.history import CONTROLLER
from rollout.desk.plain import Json, plain_json
from rollout.desk.text import percent, span_text
from rollout.rehearsal.exposed import Exposed
from rollout.rehearsal.pilots import Row
from rollout.rehearsal.replay import Compared, Replayed


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One thing that happened; `day` counts the policy's days from the trial's start."""

    day: float
    at: datetime
    action: str
    scope_bp: int
    why: str


@dataclass(frozen=True, slots=True)
class RehearsalPage:
    """One policy on one stream of jobs.

    Attributes:
        replayed: What it did.
        start: When the trial started.
        day_s: Seconds of the policy's day.
        about: What was rehearsed, in sentences.
    """

    replayed: Replayed
    start: datetime
    day_s: float
    about: tuple[str, ...]

    @property
    def timeline(self) -> list[TimelineRow]:
        """Changes by hand and decisions of the controller, oldest first."""
        done, worse_at = self.replayed.done, self.replayed.worse_at
        rows = [
            self._row(one.at, str(one.event), one.after.scope_bp, one.reason)
            for one in done.changes
            if one.actor != CONTROLLER
        ]
        rows += [
            self._row(one.at, str(one.action), self._scope_at(one.at), one.sentence)
            for one in done.decisions
        ]
        if worse_at is not None and worse_at < done.until:
            scope_bp = self._scope_at(worse_at)
            rows.append(self._row(worse_at, "injected", scope_bp, "the injected regression begins"))
        rows.sort(key=lambda row: row.at)
        return rows

    def _row(self, at: datetime, action: str, scope_bp: int, why: str) -> TimelineRow:
        return TimelineRow(round(_days(self.start, at, self.day_s), 4), at, action, scope_bp, why)

    def _scope_at(self, at: datetime) -> int:
        scopes = [one.after.scope_bp for one in self.replayed.done.changes if one.at <= at]
        return scopes[-1] if scopes else 0

    @property
    def summary(self) -> list[str]:
        """How it ended, in sentences."""
        replayed, done = self.replayed, self.replayed.done
        until = _days(self.start, done.until, self.day_s)
        lines = [f"day {until:.2f}: stage {done.state.stage}, scope {percent(done.state.scope_bp)}"]
        if replayed.false_revert:
            lines.append(
                "reverted though nothing was injected by then: a false revert, or harm in it"
            )
        if replayed.exposed is not None:
            lines.append(_reached(replayed, replayed.exposed))
        elif replayed.worse_at is not None and not replayed.false_revert:
            lines.append("the rehearsal ended before the regression began")
        return [*lines, *(f"not taken in: {said}" for said in done.errors)]

    def to_json(self) -> Json:
        """What scripts read."""
        replayed, done = self.replayed, self.replayed.done
        detected = replayed.detected_after
        return {
            "about": list(self.about),
            "timeline": [plain_json(row) for row in self.timeline],
            "stage": str(done.state.stage),
            "scope_bp": done.state.scope_bp,
            "scope_bp_top": done.scope_bp_top,
            "until": done.until.isoformat(),
            "injected_at": plain_json(replayed.worse_at),
            "reverted_at": plain_json(done.reverted_at),
            "false_revert": replayed.false_revert,
            "detection_s": None if detected is None else detected.total_seconds(),
            "exposed": _exposed_json(replayed.exposed),
            "errors": list(done.errors),
        }


@dataclass(frozen=True, slots=True)
class ComparisonPage:
    """Policies and peers on the same jobs; `injected` says that they also met a regression."""

    rows: tuple[Compared, ...]
    start: datetime
    day_s: float
    about: tuple[str, ...]
    injected: bool

    def day_of(self, at: datetime | None) -> str:
        """A time as a day of the trial."""
        return "-" if at is None else f"day {_days(self.start, at, self.day_s):.2f}"

    def to_json(self) -> Json:
        """What scripts read."""
        rows = [
            {
                "who": one.who,
                "scope_bp": one.scope_bp,
                "reverted_at": plain_json(one.reverted_at),
                "why": one.why,
                "with_regression": {
                    "reverted_at": plain_json(one.hurt_reverted_at),
                    "exposed": _exposed_json(one.exposed),
                },
            }
            for one in self.rows
        ]
        return {"about": list(self.about), "rows": rows}


@dataclass(frozen=True, slots=True)
class PilotsPage:
    """What every rule did to many pilots."""

    rows: tuple[Row, ...]
    about: tuple[str, ...]

    def to_json(self) -> Json:
        """What scripts read; a median of pilots of which most were never reverted is null."""
        rows = [
            {
                "who": one.who,
                "case": one.case,
                "observed": {at: None if isinf(x) else x for at, x in one.observed.items()},
            }
            for one in self.rows
        ]
        return {"about": list(self.about), "rows": rows}


def _days(start: datetime, at: datetime, day_s: float) -> float:
    return (at - start).total_seconds() / day_s


def _reached(replayed: Replayed, exposed: Exposed) -> str:
    jobs = (
        f"{exposed.seen:,} concurrent jobs were exposed, {exposed.failed:,} of them failed there, "
        f"{exposed.in_flight:,} more were in flight"
    )
    if replayed.detected_after is None:
        return f"the regression was not reverted: {jobs} at the end"
    after = f"{span_text(replayed.detected_after)} after the regression began"
    if replayed.left_bp:
        return f"first reverted {after}, to {percent(replayed.left_bp)}; until then {jobs}"
    return f"reverted {after}: {jobs}"


def _exposed_json(exposed: Exposed | None) -> Json | None:
    return None if exposed is None else exposed._asdict()
