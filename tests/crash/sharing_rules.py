"""Order of keys and capacity of resources, from what processes said of claims.

Only what is certain counts. An attempt that has committed held its job, and what that takes, from
the answer to its claim until it first asked to commit: nobody took the job from it in between.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.crash.evidence import Evidence
from tests.crash.history import Event
from tests.crash.violation import Violation

CALLED_WITHIN_NS = 10_000_000_000
"""With everything up a turn of the controller calls within a second or two."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim, in shared ns: when it was asked and answered, and when it was over for certain.

    `first_end` is when it first asked to commit, for one that has committed, else None. `last_end`
    is when nothing can have been held any more; None for one of which nobody said so.
    """

    job: str
    asked: int
    granted: int
    takes: Mapping[str, int]
    first_end: int | None
    last_end: int | None


def attempts_of(events: list[Event]) -> list[Attempt]:
    """All claims that were told, with their ends."""
    by_file: defaultdict[tuple[str, str], list[Event]] = defaultdict(list)
    ends: defaultdict[str, list[int]] = defaultdict(list)
    for event in events:
        if event["what"] in ("claimed", "asked", "committed"):
            by_file[str(event.get("file", event["who"])), event["job"]].append(event)
        if event["what"] in ("claimed", "committed", "failed"):
            ends[event["job"]].append(event["t"])
    found = []
    for (_, job), told in by_file.items():
        for place, event in enumerate(told):
            if event["what"] != "claimed":
                continue
            mine = told[place + 1 :]
            own = [one for one in mine if one["what"] == "committed"]
            committed = any(one["attempt"] == event["attempt"] for one in own)
            asks = [one["t"] for one in mine if one["what"] == "asked"]
            later = [t for t in ends[job] if t > event["t"]]
            found.append(
                Attempt(
                    job, event["t0"], event["t"], event.get("takes") or {},
                    asks[0] if committed and asks else None, min(later, default=None),
                )
            )  # fmt: skip
    return found


def order(evidence: Evidence) -> Iterator[Violation]:
    """No job is claimed, or runs on to its commit, when a later one of its key was granted."""
    exempt = _exempt(evidence)
    number: dict[str, int] = {}
    keys: dict[str, str] = {}
    for event in evidence.events:
        if event["what"] == "submitted" and "key" in event:
            for job in event["jobs"]:
                if job not in exempt:
                    keys[job], number[job] = event["key"], len(number)
    by_key: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts_of(evidence.events):
        if attempt.job in number:
            by_key[keys[attempt.job]].append(attempt)
    for key, attempts in by_key.items():
        for early in attempts:
            for late in attempts:
                if number[early.job] >= number[late.job]:
                    continue
                if early.asked > late.granted:
                    said = f"claimed after {late.job}, which is behind it in {key}"
                    yield Violation("out of order", early.job, said)
                elif early.first_end is not None and early.first_end > late.granted:
                    said = f"ran beside {late.job}, which is behind it in {key}"
                    yield Violation("out of order", early.job, said)


def capacity(evidence: Evidence) -> Iterator[Violation]:
    """Attempts that held their jobs at one moment took no more than there is."""
    gone = _exempt(evidence)
    changes: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for attempt in attempts_of(evidence.events):
        if attempt.first_end is None or attempt.job in gone:
            continue
        for resource, weight in attempt.takes.items():
            # What ends at a moment has ended before what begins then.
            changes[resource].append((attempt.granted, weight, attempt.job))
            changes[resource].append((attempt.first_end, -weight, attempt.job))
    for resource, steps in changes.items():
        used, most = 0, evidence.capacities.get(resource, 0)
        for _, weight, job in sorted(steps):
            used += weight
            if used > most:
                said = f"{used} of {most} of {resource!r} in use at once"
                yield Violation("capacity exceeded", job, said)


def calls(evidence: Evidence) -> Iterator[Violation]:
    """With everything up no job rests for long while nobody can hold what it needs."""
    up = next((event["t"] for event in evidence.events if event["what"] == "all up"), None)
    ended = next((event["t"] for event in evidence.events if event["what"] == "ended"), None)
    if up is None or ended is None:
        return
    busy: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    granted: defaultdict[str, list[int]] = defaultdict(list)
    for attempt in attempts_of(evidence.events):
        granted[attempt.job].append(attempt.granted)
        for resource in attempt.takes:
            busy[resource].append((attempt.asked, attempt.last_end or ended))
    rests: list[tuple[str, int, list[str]]] = []
    called: defaultdict[str, list[int]] = defaultdict(list)
    for event in evidence.events:
        if event["what"] == "claim refused" and event["why"] == "taken":
            rests.append((event["job"], event["t"], event["needs"]))
        elif event["what"] == "called":
            for job in event["jobs"]:
                called[job].append(event["t"])
    for job, since, needs in rests:
        until = min((t for t in (*called[job], *granted[job]) if t > since), default=ended)
        if until != ended:  # on its way: its queue may be long
            arrived = min((t for t in granted[job] if t > until), default=ended)
            for resource in needs:
                busy[resource].append((until, arrived))
    for job, since, needs in rests:
        until = min((t for t in (*called[job], *granted[job]) if t > since), default=ended)
        spans = [span for resource in needs for span in busy[resource]]
        gap = _longest_gap(max(since, up), min(until, ended), spans)
        if gap > CALLED_WITHIN_NS:
            said = f"rested for {gap / 1e9:.0f} s while nobody held {' and '.join(needs)}"
            yield Violation("left waiting", job, said)


def _longest_gap(begin: int, end: int, busy: list[tuple[int, int]]) -> int:
    longest, at = 0, begin
    for since, until in sorted(busy):
        if since > end:
            break
        longest = max(longest, min(since, end) - at)
        at = max(at, until)
    return max(longest, end - at)


def _exempt(evidence: Evidence) -> set[str]:
    """Jobs whose place is not what it was: unfiled, their row lost, or retried by a person."""
    exempt = {
        job
        for event in evidence.events
        if event["what"] in ("unfiled", "rows gone")
        for job in event["jobs"]
    }
    for row in evidence.rows.values():
        if any(line.get("reason") == "retried_by_hand" for line in row.way):
            exempt.add(row.job_id)
    return exempt
