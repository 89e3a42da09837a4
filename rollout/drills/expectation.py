"""What was expected of each drill of a game day, what came, and whether the margin was kept: pure.

The margin of a pair: the concurrent path may not heal later than legacy by more than one window,
which is the largest error of the measurement (`healing.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rollout.drills.drill import Drill, Exercise
from rollout.drills.gameday import GameDay, Played
from rollout.drills.score import Result, Score
from rollout.routing.decision import JobPath


class Met(StrEnum):
    """Whether what came is what was expected."""

    PASSED = "passed"
    """It came as expected."""
    MISSED = "MISSED"
    """It came otherwise."""
    UNKNOWN = "not measured"
    """The drill ran and says nothing: it hurt nobody, or was broken off."""
    REFUSED = "not played"
    """The drill was refused, and nothing was started."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a sub-pipeline stood when the day began: stage and scope in words, versions by path."""

    name: str
    stands: str
    versions: Mapping[JobPath, str]

    @property
    def sentence(self) -> str:
        """One line for the head of a report."""
        running = ", ".join(f"{path} {version}" for path, version in self.versions.items())
        return f"{self.name}: {self.stands}; builds: {running or 'not named'}."


@dataclass(frozen=True, slots=True)
class Line:
    """One drill: what was done, what was expected, what came, and what follows."""

    number: int
    drill: str
    done: str
    expected: str
    came: str
    met: Met


def lines_of(day: GameDay, played: Sequence[Played]) -> list[Line]:
    """Compare each drill with what was expected of it, in the order of the day."""
    return [
        Line(
            number,
            one.drill.name,
            done_of(one.drill),
            expected_of(one.drill),
            _came(one),
            met(one),
        )
        for number, one in enumerate(played, 1)
    ]


def done_of(drill: Drill) -> str:
    """What was broken and where, in words."""
    where = " and ".join(named(path) for path in drill.paths)
    return f"{drill.fault.breaks}, on {where}"


def expected_of(drill: Drill) -> str:
    """What a drill is expected to show."""
    if drill.fault is Exercise.KILL_SWITCH:
        return "after the switch no job starts on the new path; when it is lifted, jobs come back"
    heals = f"healed within {duration(drill.deadline_s)}, no job lost, none done twice"
    if len(drill.paths) == 1:
        return heals
    return f"{heals}; the new path heals no later than legacy (within {duration(drill.window_s)})"


def met(one: Played) -> Met:
    """Whether a drill showed what was expected of it."""
    if one.refused is not None:
        return Met.REFUSED
    if any(score.jobs_lost or score.effects_twice for score in one.scores):
        return Met.MISSED
    if one.drill.fault is Exercise.KILL_SWITCH:
        return _switch(one.scores[0])
    if any(score.result is Result.NOT_HEALED for score in one.scores):
        return Met.MISSED
    times = {score.path: score.recovery_s for score in one.scores if score.measured}
    legacy_s, concurrent_s = times.get(JobPath.LEGACY), times.get(JobPath.CONCURRENT)
    if len(times) < len(one.drill.paths):
        return Met.UNKNOWN
    if legacy_s is not None and concurrent_s is not None:
        late = concurrent_s > legacy_s + one.drill.window_s
        return Met.MISSED if late else Met.PASSED
    return Met.PASSED


def _switch(score: Score) -> Met:
    if score.more.get("starts_after_the_kill"):
        return Met.MISSED
    return Met.PASSED if score.result is Result.DONE else Met.UNKNOWN


def _came(one: Played) -> str:
    if one.refused is not None:
        return f"refused: {one.refused}"
    return "; ".join(f"{named(score.path)} {_healed(score)}" for score in one.scores)


def named(path: JobPath) -> str:
    """A path as it is said to somebody who runs no workers."""
    return "legacy" if path is JobPath.LEGACY else "the new path"


def _healed(score: Score) -> str:
    jobs = f"{score.jobs_hurt} job{'' if score.jobs_hurt == 1 else 's'}"
    lost = f", {score.jobs_lost} LOST" if score.jobs_lost else ""
    lost += f", {score.effects_twice} DONE TWICE" if score.effects_twice else ""
    if score.result is Result.HEALED and score.recovery_s is not None:
        return f"healed in {duration(score.recovery_s)}, {jobs} hurt{lost}"
    if score.result is Result.DONE:
        starts = score.more.get("starts_after_the_kill", 0)
        return f"had {starts} starts after the switch, {jobs} went to legacy{lost}"
    if score.result is Result.NOBODY_HURT:
        return "was not hit: no job came by"
    if score.result is Result.NOT_HEALED:
        return f"was not healed in time, {jobs} hurt{lost}"
    return f"was broken off{lost}: {score.sentence.removeprefix('Broken off: ').rstrip('.')}"


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        whole = round(seconds)
        return "1 second" if whole == 1 else f"{whole} seconds"
    return f"{round(seconds / 60)} minutes"
