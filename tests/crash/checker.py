"""What must never be in a history: a pure function from evidence to violations.

Two clocks. All processes share CLOCK_MONOTONIC, so events are compared by it. The ledger writes
what a process's own clock said, and one of the faults is a clock that jumps. So each process tells
the history what its clock said when it asked the ledger for something, and the checker takes the
shared time of that line (`Times`). For what the controller wrote, the median difference of the two
clocks serves (`times.py`); a machine's clock that was really stepped is a violation of its own.

All rules err to the same side: a claim or commit is held against the program only when it began
(the time is taken before the transaction) after the promise was given and, for claims, was
answered before anybody asked to lift the kill. So a paused process cannot cause a false alarm.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.crash import answer_rules, beat_rules, caller_rules, ledger_rules, sharing_rules
from tests.crash.evidence import Evidence, Row
from tests.crash.kill_rules import FOREVER, kills
from tests.crash.switch_rules import switches
from tests.crash.times import Times, times_of
from tests.crash.violation import Violation

UNFILED = "submitted while the ledger was away, and never recorded"
"""Its message was lost with the broker's memory; told apart for its cause, a loss all the same."""

_TURN_NS = 200_000_000
"""What one job may cost those behind it, on a machine with far more to do than this run."""

KINDS = (
    "lost",
    "two outcomes",
    "committed twice",
    "effect missing",
    "start after kill",
    "commit after fence",
    "scope grew",
    "start without store",
    "stuck",
    "clock stepped",
    "kill lifted by another",
    "kill not in force",
    "kill slow",
    "log broken",
    "build taken back",
    "not told",
    "died for nothing",
    "effect of another",
    "hook met itself",
    "done and failed",
    "miscounted",
    "not heard",
    "wrong answer",
    "words of a hook lost",
    "heartbeat missed",
    "scope lost",
    "death without cause",
    "pruned too early",
    "ran after its pruning",
    "latch differs",
    "operator died",
    "found dead late",
    "delivered over and over",
    "out of order",
    "capacity exceeded",
    "left waiting",
)


def check(evidence: Evidence) -> list[Violation]:
    """Find everything that must not be; an empty list is a good run."""
    times = times_of(evidence.events)
    said = "wall clock moved against the shared one"
    found = [Violation("clock stepped", "", said)] * times.stepped
    found += outcomes(evidence)
    found += commits(evidence)
    found += kills(evidence, times)
    found += switches(evidence)
    found += scopes(evidence)
    found += outages(evidence)
    found += rest(evidence, times)
    found += caller_rules.answers(evidence, times)
    found += caller_rules.deaths(evidence)
    found += caller_rules.effects(evidence)
    found += caller_rules.unsafe(evidence)
    found += caller_rules.tallies(evidence)
    found += caller_rules.spins(evidence)
    found += answer_rules.heard(evidence)
    found += answer_rules.results(evidence)
    found += answer_rules.hooks(evidence)
    found += beat_rules.beats(evidence)
    found += beat_rules.unsupervised(evidence)
    found += beat_rules.causes(evidence, times)
    found += ledger_rules.retention(evidence)
    found += ledger_rules.log_ends(evidence)
    found += ledger_rules.fences_logged(evidence)
    found += ledger_rules.latches(evidence)
    found += sharing_rules.order(evidence)
    found += sharing_rules.capacity(evidence)
    found += sharing_rules.calls(evidence)
    found += operators(evidence)
    return found


# Jobs ----------------------------------------------------------------------------------------


def outcomes(evidence: Evidence) -> Iterator[Violation]:
    """Every submitted job has exactly one outcome; so has every row, submitted or not."""
    unfiled = {
        job for event in evidence.events if event["what"] == "unfiled" for job in event["jobs"]
    }
    unrecorded = ran_unrecorded(evidence)
    for event in evidence.events:
        if event["what"] != "submitted":
            continue
        for job in event["jobs"]:
            if job in evidence.rows or job in unrecorded:
                continue
            if job in unfiled and job in evidence.kept:
                continue  # never filed, and older than what was pruned: kept for a person
            known = UNFILED if job in unfiled else "submitted, and the ledger does not know it"
            yield Violation("lost", job, known)
    for row in evidence.rows.values():
        ends = [line["what"] for line in row.way if line["what"] in ("committed", "failed")]
        if row.state not in ("committed", "failed"):
            yield Violation("lost", row.job_id, f"ended the run {row.state} on {row.path}")
        elif ends != [row.state] and Counter(ends)["committed"] < 2:
            yield Violation("two outcomes", row.job_id, f"{row.state}, but its way says {ends}")


def ran_unrecorded(evidence: Evidence) -> set[str]:
    """Jobs that ran to their end while the ledger was away from their submission on.

    Only where nothing needs the ledger: their outcome is with Celery, as it was before rollout.
    """
    need = {
        job
        for event in evidence.events
        if event["what"] == "submitted" and event["name"] in evidence.with_effect
        for job in event["jobs"]
    }
    ran = {event["job"] for event in evidence.events if event["what"] == "ran unclaimed"}
    return ran - need - evidence.rows.keys()


def commits(evidence: Evidence) -> Iterator[Violation]:
    """No job commits twice, by its effects, its way or the histories of the processes."""
    attempts: defaultdict[str, set[int]] = defaultdict(set)
    for event in evidence.events:
        if event["what"] == "committed":
            attempts[event["job"]].add(event["attempt"])
    for job in evidence.rows.keys() | evidence.effects.keys():
        row = evidence.rows.get(job)
        effects = evidence.effects.get(job, 0)
        ways = 0 if row is None else sum(line["what"] == "committed" for line in row.way)
        if effects > 1 or ways > 1 or len(attempts[job]) > 1:
            said = f"{effects} effects, {ways} in its way, attempts {sorted(attempts[job])}"
            yield Violation("committed twice", job, said)
        elif row is not None and row.name in evidence.with_effect and not _fits(row, effects):
            yield Violation("effect missing", job, f"{row.state} with {effects} effects")


def _fits(row: Row, effects: int) -> bool:
    return effects == int(row.state == "committed")


def operators(evidence: Evidence) -> Iterator[Violation]:
    """Nobody kills an operator: without one a run tries no kill, and finds nothing wrong."""
    for event in evidence.events:
        if event["what"] == "operator died":
            yield Violation("operator died", "", f"{event['name']}, exit code {event['code']}")


# Scope, store, rest --------------------------------------------------------------------------


def scopes(evidence: Evidence) -> Iterator[Violation]:
    """A scope is what the last logged transition made it, wherever and whenever it is seen."""
    at: dict[str, dict[int, int]] = defaultdict(dict)
    last: dict[str, int] = {}
    for change in evidence.changes:
        before, after = change.before["scope_bp"], change.after["scope_bp"]
        if before != last.get(change.name, 0):
            said = f"{last.get(change.name, 0)} became {before} before {change.event!r}"
            yield Violation("scope grew", change.name, said)
        at[change.name][change.after["revision"]] = last[change.name] = after
    seen = {
        (e["name"], e["revision"], e["scope_bp"])
        for e in evidence.events
        if e["what"] == "scope seen"
    }
    for name, revision, scope_bp in seen:
        if scope_bp > at[name].get(revision, 0):
            said = f"scope {scope_bp} seen at revision {revision}, not in the log"
            yield Violation("scope grew", name, said)
    for name, scope_bp in evidence.scopes.items():
        if scope_bp > last.get(name, 0):
            yield Violation("scope grew", name, f"the row ends at {scope_bp}, not in the log")


def outages(evidence: Evidence) -> Iterator[Violation]:
    """No concurrent start without the control store's word, given while it could be asked."""
    windows: defaultdict[str | None, list[tuple[int, int]]] = defaultdict(list)
    gone: dict[str | None, int] = {}
    for event in evidence.events:
        if event["what"] == "store gone":
            gone[event["worker"]] = event["t"]
        elif event["what"] == "store back" and event["worker"] in gone:
            windows[event["worker"]].append((gone.pop(event["worker"]), event["t"]))
    for worker, since in gone.items():
        windows[worker].append((since, FOREVER))
    rowless: set[str] = set()
    for event in evidence.events:
        if event["what"] == "rows gone":
            rowless.update(event["jobs"])
        if event["what"] != "claimed" or event["path"] != "concurrent":
            continue
        asked = event["t0"] if event["asked"] is None else event["asked"]
        spans = (*windows[None], *windows[event["who"]])
        if any(since < asked and event["t0"] < until for since, until in spans):
            yield Violation("start without store", event["job"], "started while it was gone")
        elif event["asked"] is None and event["job"] in rowless:
            rowless.discard(event["job"])  # no start: what ran has its row written anew
        elif event["asked"] is None:
            yield Violation("start without store", event["job"], "nobody was asked")


def rest(evidence: Evidence, times: Times) -> Iterator[Violation]:
    """With everything up only other jobs stand in a job's way, each for its turn and no longer."""
    up = next((event["t"] for event in evidence.events if event["what"] == "all up"), None)
    ended = next((event["t"] for event in evidence.events if event["what"] == "ended"), None)
    if up is None or ended is None:
        yield Violation("stuck", "", "the run did not come to its end")
        return
    ends = {row.job_id: times.finished(row) for row in evidence.rows.values()}
    # A time after the end is the controller's, whose clock had jumped, of before the rest.
    after = sorted(end for end in ends.values() if end is not None and up < end <= ended)
    for job_id, end in ends.items():
        if end is not None and not up < end <= ended:
            continue
        waited = (ended if end is None else end) - up
        before = len(after) if end is None else bisect_left(after, end)
        if waited > evidence.rest_s * 1e9 + before * _TURN_NS:
            state = "still open" if end is None else "finished"
            said = f"{state} after {waited / 1e9:.0f} s with everything up, {before} jobs before it"
            yield Violation("stuck", job_id, said)
