"""What the ledger keeps: rows that are pruned, the log of changes to its end, and the latches."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.crash.evidence import Evidence
from tests.crash.violation import Violation

ALL = "*"
OVER = frozenset({"committed", "cancelled", "expired"})


def retention(evidence: Evidence) -> Iterator[Violation]:
    """A prune takes what was over before its date, and what it took does not come back."""
    before = max((e["before"] for e in evidence.events if e["what"] == "pruning"), default=0)
    for row in evidence.gone:
        if row.state not in OVER:
            yield Violation("pruned too early", row.job_id, f"it was {row.state}")
        elif row.finished_at is None or row.finished_at // 1000 >= before:
            yield Violation("pruned too early", row.job_id, "it ended after the date of the prune")
    for job, times in Counter(row.job_id for row in evidence.gone).items():
        if times > 1 or job in evidence.came_back:
            yield Violation("ran after its pruning", job, "a leftover message began it again")


def log_ends(evidence: Evidence) -> Iterator[Violation]:
    """The log has a line for every revision, and its last one is what the row says."""
    last: dict[str, dict[str, Any]] = {}
    for change in evidence.changes:
        before, after = change.before.get("revision"), change.after.get("revision")
        if before is not None and after != before + 1:
            yield Violation("log broken", change.name, f"revision {before} became {after}")
        last[change.name] = change.after
    for name, state in evidence.controls.items():
        if name in last and last[name] != state:
            differ = sorted(key for key in state if state[key] != last[name].get(key))
            yield Violation("log broken", name, f"the row ends elsewhere: {', '.join(differ)}")


def fences_logged(evidence: Evidence) -> Iterator[Violation]:
    """The kill that a fence was acknowledged for is in the log, by its id."""
    logged = {
        (change.name, change.after.get("kill_id"))
        for change in evidence.changes
        if change.event == "kill"
    }
    for event in evidence.events:
        if event["what"] != "fenced":
            continue
        for name, kill_id in event.get("kill_ids", {}).items():
            # A kill that was lifted meanwhile is answered again, as not in force.
            if kill_id is not None and (name, kill_id) not in logged:
                yield Violation("kill not in force", name, f"kill {kill_id} is in no line")


def latches(evidence: Evidence) -> Iterator[Violation]:
    """At rest the store holds the latch of every kill that is in force, and of no other."""
    if evidence.latches is None:
        return
    for name, state in evidence.controls.items():
        of_row = state.get("kill_id") if state.get("killed") else None
        latch = evidence.latches.get(name)
        if name != ALL and of_row is not None and of_row == _of_all(evidence):
            continue  # the latch of all covers it
        if (latch is None) is not (of_row is None) or latch not in (of_row, None):
            yield Violation("latch differs", name, f"ledger {of_row}, store {latch}")


def _of_all(evidence: Evidence) -> str | None:
    latch = evidence.controls.get(ALL, {})
    return latch.get("kill_id") if latch.get("killed") else None
