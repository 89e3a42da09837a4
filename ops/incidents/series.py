"""A recorded series with labels, and what the watch makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import mean, median

from rollout.drills.incident import Incident
from rollout.drills.watch import Rules, Watch, observe
from rollout.evidence.sample import PathSample


@dataclass(frozen=True)
class Span:
    """A time that somebody else has marked, its end included."""

    begin: datetime
    end: datetime


@dataclass(frozen=True)
class Series:
    """What a path did, window after window, and when it was in trouble by somebody else's word.

    `grace` is how long after a label's end an incident may begin and still be its consequence.
    """

    name: str
    samples: Sequence[PathSample]
    labels: Sequence[Span]
    rules: Rules
    grace: timedelta = timedelta(0)


@dataclass(frozen=True)
class Score:
    """How incidents and labels go together; times in hours.

    Attributes:
        name: The series.
        windows: How many there are.
        labels: Labels after the watch had settled; those before are nobody's to find.
        found: Labels during which, or within the grace after which, an incident lasted.
        by_chance: How many would have been, on average, had the same incidents come some weeks
            later (those past the end at the beginning): what is over this is no chance.
        incidents: All that began.
        unlabelled: Those that touch no label.
        given_up: Those that had not recovered at the cap.
        failed_inside: Share of the jobs that failed in windows inside the incidents.
        failed_outside: The same in all other windows.
        to_detect_h: From onset to detection, median; None without incidents.
        to_recover_h: From onset to recovery, median of those that recovered.
    """

    name: str
    windows: int
    labels: int
    found: int
    by_chance: float
    incidents: int
    unlabelled: int
    given_up: int
    failed_inside: float
    failed_outside: float
    to_detect_h: float | None
    to_recover_h: float | None

    def render(self) -> str:
        """Give one line of a Markdown table."""
        cells = [
            self.name, self.labels, self.found, f"{self.by_chance:.1f}",
            self.labels - self.found, self.incidents, self.unlabelled, self.given_up,
            f"{self.failed_inside:.1%}", f"{self.failed_outside:.1%}",
            _hours(self.to_detect_h), _hours(self.to_recover_h),
        ]  # fmt: skip
        return "| " + " | ".join(str(cell) for cell in cells) + " |"


HEADING = (
    "| series | labels | found | (by chance) | missed | incidents | of them unlabelled | given up"
    " | failed in them | failed else | onset to detection, h | to recovery, h |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def watched(samples: Iterable[PathSample], rules: Rules) -> list[Incident]:
    """Run the watch over all windows; an incident that lasts at the end is in as it stands."""
    watch, ended = Watch(), []
    for sample in samples:
        watch, incident = observe(watch, sample, rules)
        if incident is not None and not incident.lasts:
            ended.append(incident)
    return ended if watch.incident is None else [*ended, watch.incident]


def scored(series: Series) -> tuple[Score, list[Incident]]:
    """Watch a series and compare."""
    incidents = watched(series.samples, series.rules)
    first, last = series.samples[0].at, series.samples[-1].at
    labels = [span for span in series.labels if span.end >= first + series.rules.settle]
    spans = [Span(one.onset_at, one.recovered_at or one.gave_up_at or last) for one in incidents]
    after = [replace(label, end=label.end + series.grace) for label in labels]
    recovered = [
        one.recovery_s / 3600
        for one in incidents
        if one.recovered_at is not None and one.recovery_s is not None
    ]
    to_detect = [(one.detected_at - one.onset_at).total_seconds() / 3600 for one in incidents]
    inside = [any(touches(Span(one.at, one.at), span) for span in spans) for one in series.samples]
    score = Score(
        series.name,
        len(series.samples),
        len(labels),
        _found(after, spans),
        _by_chance(after, spans, first + series.rules.settle, last),
        len(incidents),
        sum(not any(touches(label, span) for label in after) for span in spans),
        sum(one.gave_up_at is not None for one in incidents),
        _failed(one for one, is_in in zip(series.samples, inside, strict=True) if is_in),
        _failed(one for one, is_in in zip(series.samples, inside, strict=True) if not is_in),
        median(to_detect) if to_detect else None,
        median(recovered) if recovered else None,
    )
    return score, incidents


def _found(labels: Sequence[Span], spans: Sequence[Span]) -> int:
    return sum(any(touches(label, span) for span in spans) for label in labels)


def _by_chance(
    labels: Sequence[Span], spans: Sequence[Span], first: datetime, last: datetime
) -> float:
    """Shift by whole weeks, so that weekday and time of day stay what they are."""
    whole = last - first
    weeks = range(1, whole // timedelta(days=7)) or range(1, 2)
    shifted = [[_later(span, timedelta(days=7 * week), first, whole) for span in spans]
               for week in weeks]  # fmt: skip
    return mean(_found(labels, moved) for moved in shifted)


def _later(span: Span, by: timedelta, first: datetime, whole: timedelta) -> Span:
    begin = first + (span.begin - first + by) % whole
    return Span(begin, begin + (span.end - span.begin))


def _failed(samples: Iterable[PathSample]) -> float:
    counted = [(sample.failed, sample.jobs) for sample in samples]
    return sum(failed for failed, _ in counted) / max(1, sum(jobs for _, jobs in counted))


def touches(one: Span, other: Span) -> bool:
    """Say whether two spans share a moment."""
    return one.begin <= other.end and other.begin <= one.end


def _hours(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
