"""Plays a game day: each drill in its turn, a pause after it, and all of it in one report."""

from collections.abc import Callable

from rollout.drills.drills import Drills
from rollout.drills.errors import DrillRefused
from rollout.drills.gameday import GameDay, Played, what_is_played
from rollout.drills.gameday_report import Report, make_report
from rollout.drills.ports import DrillLedger
from rollout.drills.timeline import Line
from rollout.routing.clock import Clock
from rollout.routing.decision import JobPath


def play(
    day: GameDay,
    drills: Drills,
    ledger: DrillLedger,
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
    return make_report(day, played, journals, began, clock.now())
