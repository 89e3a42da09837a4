"""Plays a game day: each drill in its turn, a pause after it, and all of it in one report."""

from collections.abc import Callable, Mapping
from typing import Protocol

from rollout.drills.drills import Drills
from rollout.drills.errors import DrillRefused
from rollout.drills.expectation import Scene
from rollout.drills.gameday import GameDay, Played, what_is_played
from rollout.drills.gameday_report import Report, make_report
from rollout.drills.ports import DrillLedger
from rollout.drills.timeline import Line
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath
from rollout.routing.stages import ControlState


class DayLedger(DrillLedger, Protocol):
    """The ledger, as far as a game day needs it. Both raise LedgerUnreachable."""

    def control(self, name: str) -> ControlState:
        """Read the control state. Raises UnknownSubPipeline."""
        ...

    def builds(self) -> Mapping[str, tuple[str | None, str | None]]:
        """Builds of the paths of each sub-pipeline, legacy first."""
        ...


def play(
    day: GameDay,
    drills: Drills,
    ledger: DayLedger,
    clock: Clock,
    coin: Callable[[], JobPath],
    actor: str,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Run all drills of the day; one that is refused is in the report, and the next one follows.

    Args:
        coin: Draws the path that a pair begins with.
        say: Told which drill begins, and what came of it.

    Raises:
        LedgerUnreachable, ControlStoreUnreachable, UnknownSubPipeline: The day ends here; what
            was run is in the journal.
    """
    began = clock.now()
    scenes = _scenes(day, ledger)
    played = []
    for number, drill in enumerate(day.drills, 1):
        if number > 1:
            clock.sleep(day.pause_s)
        say(f"drill {number} of {len(day.drills)}: {what_is_played(drill)}")
        try:
            report = drills.run(drill, coin(), actor)
        except DrillRefused as error:
            played.append(Played(drill, refused=error.problem))
        else:
            played.append(Played(drill, report.scores, report.pair_id))
        say(f"drill {number} of {len(day.drills)}: {played[-1].came}")
    journals = {
        score.drill_id: [
            Line(event.at, event.what, event.facts) for event in ledger.drill_events(score.drill_id)
        ]
        for one in played
        for score in one.scores
    }
    return make_report(day, played, journals, began, clock.now(), scenes, actor)


def _scenes(day: GameDay, ledger: DayLedger) -> list[Scene]:
    builds, found = ledger.builds(), []
    for name in dict.fromkeys(drill.sub_pipeline for drill in day.drills):
        state = ledger.control(name)
        told = zip(JobPath, builds.get(name, (None, None)), strict=True)
        versions = {path: build for path, build in told if build is not None}
        stands = f"stage {state.stage}, {state.scope_bp / 100:g} % of jobs on the new path"
        found.append(Scene(name, stands, versions))
    return found
