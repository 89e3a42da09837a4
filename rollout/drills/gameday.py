"""A game day: a series of drills with pauses, played and read together by a team.

title = "Invoices, first game day"
pause_s = 30

[defaults]                 # for every drill below
sub_pipeline = "invoices"
duration_s = 20
blast_radius_jobs = 10
deadline_s = 180

[[drill]]
name = "children die"
fault = "kill_child"
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from rollout.drills.drill import SECONDS_MAX, Drill, read_drill
from rollout.drills.errors import BadDrill
from rollout.drills.score import Result, Score

_NAMES = ("title", "pause_s", "defaults", "drill")


@dataclass(frozen=True, slots=True)
class GameDay:
    """Drills in the order in which they are played.

    Attributes:
        title: What the report is called.
        drills: The drills; each a `[[drill]]` with the keys of one, `[defaults]` for all of them.
        pause_s: Seconds between two drills.
    """

    title: str
    drills: tuple[Drill, ...]
    pause_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Played:
    """One drill of a game day: its scores, or why it was refused."""

    drill: Drill
    scores: tuple[Score, ...] = ()
    pair_id: str | None = None
    refused: str | None = None

    @property
    def came(self) -> str:
        """What came of it, in one line."""
        if self.refused is not None:
            return f"refused: {self.refused}"
        return "; ".join(f"{score.path}: {_came(score)}" for score in self.scores)


def _came(score: Score) -> str:
    hurt = f"{score.jobs_hurt} job{'' if score.jobs_hurt == 1 else 's'} hurt"
    if score.result is Result.HEALED and score.recovery_s is not None:
        return f"healed in {score.recovery_s:.1f} s, {hurt}"
    if score.result is Result.NOBODY_HURT:
        return str(score.result)
    return f"{score.result}, {hurt}: {score.sentence.rstrip('.')}"


def what_is_played(drill: Drill) -> str:
    """What a drill breaks, where."""
    paths = " and ".join(drill.paths)
    return f"{drill.name} ({drill.fault} on {paths} of {drill.sub_pipeline})"


def is_game_day(values: Mapping[str, Any]) -> bool:
    """Whether a file declares a series and no single drill."""
    return "drill" in values


def read_game_day(values: Mapping[str, Any], where: str = "the game day") -> GameDay:
    """Read a declaration. Raises BadDrill for the first drill that cannot be run; none was."""
    for name in values:
        if name not in _NAMES:
            raise BadDrill(f"{where} has no {name!r}", f"it has {', '.join(_NAMES)}")
    drills, defaults = values["drill"], values.get("defaults", {})
    if not isinstance(drills, list) or not drills or not isinstance(defaults, Mapping):
        raise BadDrill(f"{where} must have one [[drill]] or more, got {drills!r:.80}", "add one")
    pause_s = values.get("pause_s", 30.0)
    right = isinstance(pause_s, (int, float)) and isfinite(pause_s)
    if not right or not 0 <= pause_s <= SECONDS_MAX:
        raise BadDrill(f"'pause_s' of {where} must be seconds, got {pause_s!r}", "30 is usual")
    title = values.get("title", where)
    if not isinstance(title, str) or not title.strip():
        raise BadDrill(f"'title' of {where} must be text, got {title!r}", "name the day")
    read = [
        read_drill(
            {**defaults, **one} if isinstance(one, Mapping) else one, f"drill {at} of {where}"
        )
        for at, one in enumerate(drills, 1)
    ]
    return GameDay(title, tuple(read), float(pause_s))
