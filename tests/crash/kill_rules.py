"""After an acknowledged kill nothing starts concurrently, and nothing older commits.

The fence's own answer is the earlier of the two acknowledgements, so the rules begin there.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.crash.evidence import Change, Evidence, Row
from tests.crash.history import Event
from tests.crash.times import Times
from tests.crash.violation import Violation

FOREVER = 2**63
UNSAFE = frozenset({"wires"})
_WAY_NS = 1_000_000
"""Way lines are cut to the millisecond."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill on one sub-pipeline: from when it held, and until when at the least."""

    name: str
    fence: int
    held_from: int
    held_until: int


def kills_of(events: list[Event], changes: Sequence[Change] = ()) -> list[Kill]:
    """Kills that were acknowledged (or whose fence was), with the time they surely held.

    The log says which of them was lifted: one that no line lifts holds to the end, whoever asked
    for a rearm meanwhile.
    """
    found = []
    never = _never_lifted(changes)
    asked: dict[str, int] = {}
    acknowledged = {e["kill_id"]: e for e in events if e["what"] == "kill acknowledged"}
    for event in events:
        if event["what"] == "kill asked":
            asked[event["who"]] = event["t"]
        if event["what"] != "fenced":
            continue
        answer = acknowledged.get(event["kill_id"])
        blocked = answer is not None and answer["complete"]
        for name, fence in event["fences"].items():
            lifted = _lifted(events, name, asked.get(event["who"], int(event["t"])))
            if (name, event.get("kill_ids", {}).get(name)) in never:
                lifted = FOREVER
            # Without the store's latch only the fence was promised, not that no job starts.
            until = lifted if blocked else event["t"]
            found.append(Kill(name, fence, event["t"], until))
    return found


def _never_lifted(changes: Sequence[Change]) -> set[tuple[str, str]]:
    """Kills, by sub-pipeline and id, after which the log has no rearm."""
    held: set[tuple[str, str]] = set()
    for change in changes:
        if change.event == "kill":
            held.add((change.name, str(change.after.get("kill_id"))))
        elif change.event == "rearm":
            held = {one for one in held if one[0] != change.name}
    return held


def _lifted(events: list[Event], name: str, since: int) -> int:
    """When the first rearm was asked that was not over before the kill was asked."""
    open_: dict[tuple[str, str | None], int] = {}
    for event in events:
        key = (event["who"], event.get("name"))
        if event["what"] == "rearm asked" and event["name"] in (None, name):
            open_[key] = event["t"]
        elif event["what"] == "rearm ended" and key in open_:
            asked = open_.pop(key)
            if event["t"] > since and not event["refused"]:
                return min([asked, *open_.values()])
    return min(open_.values(), default=FOREVER)


def kills(evidence: Evidence, times: Times) -> Iterator[Violation]:
    """After an acknowledged kill nothing starts concurrently and nothing older commits."""
    by_name: defaultdict[str, list[Kill]] = defaultdict(list)
    for kill in kills_of(evidence.events, evidence.changes):
        by_name[kill.name].append(kill)
    granted = set()
    for event in evidence.events:
        if event["what"] != "claimed" or event["path"] != "concurrent":
            continue
        granted.add((event["job"], event["attempt"]))
        for kill in by_name[event["name"]]:
            began = event["t0"] > kill.held_from or event["fence"] == kill.fence
            if began and event["t"] < kill.held_until:
                yield Violation("start after kill", event["job"], f"fence {kill.fence}")
                break
    for row in evidence.rows.values():
        yield from _row_against_kills(row, by_name[row.name], granted, times)


def _row_against_kills(
    row: Row, kills: list[Kill], granted: set[tuple[str, int]], times: Times
) -> Iterator[Violation]:
    """Judge by the ledger's own times: starts no process lived to tell of, and commits."""
    for line in row.way:
        if line["what"] != "started" or line.get("path") != "concurrent":
            continue
        at = times.line(row.job_id, line["at"])
        told = (row.job_id, line["attempt"]) in granted
        for kill in kills:
            # When it was answered is unknown here, so only a kill that was never lifted counts.
            if not told and at > kill.held_from + _WAY_NS and kill.held_until == FOREVER:
                yield Violation("start after kill", row.job_id, "in its way only")
                break
    finished = times.finished(row)
    if row.state != "committed" or row.path != "concurrent" or finished is None:
        return
    if row.name in UNSAFE:
        return  # it may finish: half of its effect cannot be taken back
    for kill in kills:
        late = finished > kill.held_from + _WAY_NS
        if row.fence_revision < kill.fence and late:
            yield Violation("commit after fence", row.job_id, f"fence {kill.fence}")
            return
