"""Whether a run happened at all: what was not tried cannot have held."""

from collections import Counter
from collections.abc import Iterator

from tests.crash.history import Event
from tests.crash.violation import Violation

KIND = "run not whole"


def gaps(
    events: list[Event], jobs: int, faults: int, *, came_to_rest: bool, cut_short: bool
) -> Iterator[Violation]:
    """Say what of an order was not tried.

    Args:
        events: The history of the run.
        jobs: Jobs that the order asked for; producers may submit a few more.
        faults: Faults that the order asked for.
        came_to_rest: Everything was up again, and nothing was left to do, before the deadline.
        cut_short: The order itself ends faults early, so that their number says nothing.
    """
    submitted = sum(len(event["jobs"]) for event in events if event["what"] == "submitted")
    begun = sum(event["what"] == "fault begun" for event in events)
    if submitted == 0 or (submitted < jobs and not cut_short):
        yield Violation(KIND, "", f"{submitted} of {jobs} jobs were submitted")
    if begun < faults and not cut_short:
        yield Violation(KIND, "", f"{begun} of {faults} faults began")
    if not came_to_rest:
        yield Violation(KIND, "", "the deadline came before rest")
    yield from _unwatched(events)


def _unwatched(events: list[Event]) -> Iterator[Violation]:
    """Name the roles whose claims nobody wrote down: most rules are blind to what they did.

    An attempt of 0 ran while the ledger was away, without a claim.
    """
    claimed = {(e["job"], e["attempt"]) for e in events if e["what"] == "claimed"}
    blind = Counter(
        event["who"]
        for event in events
        if event["what"] == "started"
        and event["attempt"]
        and (event["job"], event["attempt"]) not in claimed
    )
    for who, runs in sorted(blind.items()):
        yield Violation(KIND, "", f"{runs} runs of {who} began without a claim in the history")
