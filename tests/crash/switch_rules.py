"""What must never be of the switch: who lifts whose kill, how long one takes, and its log."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.crash.evidence import Evidence
from tests.crash.history import Event
from tests.crash.violation import Violation

SAID_NS = 1_000_000_000
"""A kill says within a second that it holds, or which half is missing and who is in the way."""
IN_TURN = 3
"""The command, the control store and the ledger work one after the other, on the processors that a
dozen processes of a run share with whatever else the machine has to do."""
LATE_NS_MAX = 2_000_000_000
"""What a busy machine excuses: so many times what Linux says the command's own thread waited for a
processor, and never more than this."""
_ALL = "*"


def switches(evidence: Evidence) -> Iterator[Violation]:
    """Everything about kills, rearms and the log of changes."""
    yield from lifted_by_others(evidence)
    yield from not_in_force(evidence)
    yield from slow_kills(evidence)
    yield from broken_log(evidence)
    yield from builds_taken_back(evidence)


def lifted_by_others(evidence: Evidence) -> Iterator[Violation]:
    """`rearm --all` lifts what `kill --all` latched, and no kill of one by itself."""
    of_all = {
        change.after["kill_id"]
        for change in evidence.changes
        if change.name == _ALL and change.event == "kill"
    }
    for event in evidence.events:
        if event["what"] != "rearm ended" or event.get("name") is not None:
            continue
        for name, kill_id in event.get("lifted", {}).items():
            if kill_id not in of_all:
                yield Violation("kill lifted by another", name, f"rearm of all lifted {kill_id}")


def not_in_force(evidence: Evidence) -> Iterator[Violation]:
    """A fence that was acknowledged covers every sub-pipeline that it names.

    A controller may repeat one that somebody has lifted in the meantime.
    """
    lifted: defaultdict[str, set[str]] = defaultdict(set)
    for event in evidence.events:
        if event["what"] == "rearm ended":
            for name, kill_id in event.get("lifted", {}).items():
                lifted[str(kill_id)] |= {name, _ALL}
    for event in evidence.events:
        if event["what"] == "fenced":
            for name, killed in event.get("killed", {}).items():
                if not killed and name not in lifted[str(event["kill_id"])]:
                    yield Violation("kill not in force", name, f"kill {event['kill_id']}")


def slow_kills(evidence: Evidence) -> Iterator[Violation]:
    """Within a second a kill says that it holds, or which half is missing and who is in the way."""
    for answer in answers_of_kills(evidence.events):
        if answer.took_ns > SAID_NS + answer.allowed_ns:
            said = f"nothing was said for {answer.took_ns / 1e9:.2f} s"
            load = f"{answer.allowed_ns / 1e9:.2f} s of it the machine's"
            yield Violation("kill slow", answer.name, f"{said}, {load}")
    yield from _wordless(evidence.events)


def _wordless(events: list[Event]) -> Iterator[Violation]:
    """Kills that never said a word, though their operator had the time to hear one."""
    asked: dict[str, Event] = {}
    up = next((int(event["t"]) for event in events if event["what"] == "all up"), 0)
    for event in events:
        if event["what"] == "kill asked":
            asked[event["who"]] = event
        elif event["what"] in ("kill said", "kill acknowledged"):
            asked.pop(event["who"], None)
    for event in asked.values():
        if up - int(event["t"]) > SAID_NS + LATE_NS_MAX:
            yield Violation("kill slow", str(event.get("name")), "not a word was said")


@dataclass(frozen=True, slots=True)
class Answer:
    """The first word of a kill: after how long, and what the machine's load excuses of it."""

    name: str
    took_ns: int
    allowed_ns: int
    holds: bool


def answers_of_kills(events: list[Event]) -> Iterator[Answer]:
    """The first word of each kill that came to say one."""
    asked: dict[str, int] = {}
    for event in events:
        if event["what"] == "kill asked":
            asked[event["who"]] = int(event["t"])
        elif event["what"] in ("kill said", "kill acknowledged") and event["who"] in asked:
            took_ns = int(event["t"]) - asked.pop(event["who"])
            allowed_ns = min(LATE_NS_MAX, IN_TURN * (event.get("late") or 0))
            holds = not event.get("missing") and "waits" not in event
            yield Answer(str(event.get("name")), took_ns, allowed_ns, holds)


def broken_log(evidence: Evidence) -> Iterator[Violation]:
    """Each line of the log begins where the one before it ended, in every field."""
    last: dict[str, dict[str, Any]] = {}
    for change in evidence.changes:
        before = last.get(change.name)
        if before is not None and change.before != before:
            differ = sorted(key for key in before if before[key] != change.before.get(key))
            yield Violation("log broken", change.name, f"{change.event!r}: {', '.join(differ)}")
        last[change.name] = change.after


def builds_taken_back(evidence: Evidence) -> Iterator[Violation]:
    """While workers of two releases restart in turn, a path goes from older to newer only."""
    seen: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for event in evidence.events:
        if event["what"] != "build seen":
            continue
        builds = seen[event["name"], event["path"]]
        if builds and builds[-1] == event["build"]:
            continue
        if event["build"] in builds:
            said = f"{builds[-1]} became {event['build']} again"
            yield Violation("build taken back", event["name"], said)
        builds.append(event["build"])
