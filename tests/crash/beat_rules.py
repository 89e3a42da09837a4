"""The controller's heartbeat, and the deaths of workers: nothing of both without a cause."""

import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.crash.evidence import Evidence, Row
from tests.crash.times import Times
from tests.crash.violation import Violation
from tests.crash.windows import Window, windows

_SILENCES = ("controller", "store", "ledger", "postgres")
"""Kinds of fault, by a word of theirs, under which nobody can beat. A held row and a long queue
are none of them, nor is a web hook that never answers."""
_BACK_S = 12.0
"""Starting a controller again on a machine with two busy processors, and its first turn."""
_MILD = ("held", "hook", "queue")
_DEATH_S = 15.0
"""A death is noticed by a silence, counted by a sweep, and dated when the job is moved."""
_EVERYWHERE = ("ledger", "postgres", "poison", "kills its worker", "rows gone")


def beats(evidence: Evidence) -> Iterator[Violation]:
    """While controllers, store and ledger are whole no heartbeat is missed."""
    hurt = silences(evidence)
    at = [int(event["t"]) for event in evidence.events if event["what"] == "beat"]
    for before, after in pairwise(at):
        gap_s = (after - before) / 1e9
        if gap_s > evidence.supervision_s and not _met(hurt, before, after):
            yield Violation("heartbeat missed", "", f"none for {gap_s:.1f} s")


def unsupervised(evidence: Evidence) -> Iterator[Violation]:
    """While a controller beats no job leaves its path as unsupervised."""
    hurt = silences(evidence)
    first = next((int(e["t"]) for e in evidence.events if e["what"] == "beat"), None)
    for event in evidence.events:
        if event["what"] != "unsupervised" or first is None or event["t"] < first:
            continue
        if not _met(hurt, int(event["t"]), int(event["t"])):
            said = f"{len(event['jobs'])} jobs, with a controller at work"
            yield Violation("scope lost", event["jobs"][0], said)


def silences(evidence: Evidence) -> list[Window]:
    """When nobody could beat, or look for silent workers."""
    return [
        window
        for window in windows(evidence.events, _BACK_S)
        if any(one in window.kind for one in _SILENCES)
        and not any(one in window.kind for one in _MILD)
    ]


def _met(hurt: Sequence[Window], since: int, until: int) -> bool:
    return any(window.meets(since, until) for window in hurt)


def causes(evidence: Evidence, times: Times) -> Iterator[Violation]:
    """A worker that is said to have died was hurt, or died by the history of the driver."""
    claimed = {
        (event["job"], event["attempt"]): event
        for event in evidence.events
        if event["what"] == "claimed"
    }
    hurt = windows(evidence.events, _DEATH_S)
    died = _ends_of_processes(evidence)
    for row in evidence.rows.values():
        for attempt, at in _deaths(row, times):
            claim = claimed.get((row.job_id, attempt))
            if claim is None:
                continue  # no process lived to tell of its start: that is a death by itself
            who, since = claim["who"], int(claim["t"])
            # Noted before the claim: with a clock that is behind, by a process that died untold.
            until = at if at >= since else sys.maxsize
            by_fault = any(
                window.meets(since, until) and _hits(window, who, evidence.linked)
                for window in hurt
            )
            if not by_fault and not any(name == who and since <= t <= until for name, t in died):
                yield Violation("death without cause", row.job_id, f"attempt {attempt} on {who}")


def _ends_of_processes(evidence: Evidence) -> list[tuple[str, int]]:
    """What the driver saw die or hang, and who ran a job that kills its process, however late.

    One that hangs (Celery's threads do, when two of them acknowledge to RabbitMQ at once) is noted
    long after: it hung when it wrote its last line, if that is all that there was until the note.
    """
    ends, last = [], dict[str, int]()
    for event in evidence.events:
        last[str(event["who"])] = int(event["t"])
        if event["what"] == "process died":
            ends.append((str(event["name"]), int(event["t"])))
        elif event["what"] == "consumed nothing":
            name = str(event["name"])
            ends.append((name, last.get(name, int(event["t"]))))
        elif event["what"] == "ends itself":
            ends.append((str(event["who"]), int(event["t"])))
    return ends


def _deaths(row: Row, times: Times) -> Iterator[tuple[int, int]]:
    """Attempts of which the job's way says that their worker was lost, and when."""
    attempt = 0
    for line in row.way:
        if line["what"] == "started":
            attempt = int(line["attempt"])
        lost = line.get("reason") == "worker_lost" or "workers died" in str(line.get("error", ""))
        if attempt and lost:
            yield attempt, times.line(row.job_id, line["at"])


def _hits(window: Window, who: str, linked: str) -> bool:
    """Whether a fault can kill, stop or cut off this worker."""
    if "link" in window.kind or "answers" in window.kind:
        return who == linked
    return who in window.target.split() or any(one in window.kind for one in _EVERYWHERE)
