"""What must never be in a history: a pure function from evidence to violations.

Two clocks. All processes share CLOCK_MONOTONIC, so events are compared by it. The ledger writes
wall-clock times; every event carries both clocks, so the median of their difference turns a
ledger time into the shared one (`wall_offset`), and a clock that was stepped during the run is a
violation of its own, because then the rules that need ledger times could not be trusted.

All rules err to the same side: a claim or commit is held against the program only when it began
(the time is taken before the transaction) after the promise was given and, for claims, was
answered before anybody asked to lift the kill. So a paused process cannot cause a false alarm.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from tests.crash.evidence import Evidence, Row, wall_ns
from tests.crash.history import Event

_STEP_NS_MAX = 5_000_000
"""Half a run apart, the two clocks may differ by this much; slewing stays far below."""
_WAY_NS = 1_000_000
"""Way lines are cut to the millisecond."""
_FOREVER = 2**63


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise. `excused` is a loss that the README says is not promised away."""

    kind: str
    job: str
    said: str
    excused: bool = False


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
)


def check(evidence: Evidence) -> list[Violation]:
    """Find everything that must not be; an empty list is a good run."""
    offset, stepped = wall_offset(evidence.events)
    found = [Violation("clock stepped", "", "wall clock moved against the shared one")] * stepped
    found += outcomes(evidence)
    found += commits(evidence)
    found += kills(evidence, offset)
    found += scopes(evidence)
    found += outages(evidence)
    found += rest(evidence, offset)
    return found


def wall_offset(events: list[Event]) -> tuple[int, bool]:
    """Wall clock minus shared clock in ns, and whether it was stepped in between."""
    gaps = [int(event["w"]) - int(event["t"]) for event in events]
    if not gaps:
        return 0, False
    half = max(1, len(gaps) // 2)
    stepped = abs(median(gaps[:half]) - median(gaps[-half:])) > _STEP_NS_MAX
    return int(median(gaps)), stepped


# Jobs ----------------------------------------------------------------------------------------


def outcomes(evidence: Evidence) -> Iterator[Violation]:
    """Every submitted job has exactly one outcome; so has every row, submitted or not."""
    unfiled = {
        job for event in evidence.events if event["what"] == "unfiled" for job in event["jobs"]
    }
    submitted = [
        job for event in evidence.events if event["what"] == "submitted" for job in event["jobs"]
    ]
    for job in submitted:
        row = evidence.rows.get(job)
        if row is None and job in unfiled:
            yield Violation("lost", job, "ledger away at submission, message lost", excused=True)
        elif row is None:
            yield Violation("lost", job, "submitted, and the ledger does not know it")
    for row in evidence.rows.values():
        ends = [line["what"] for line in row.way if line["what"] in ("committed", "failed")]
        if row.state not in ("committed", "failed"):
            yield Violation("lost", row.job_id, f"ended the run {row.state} on {row.path}")
        elif ends != [row.state] and Counter(ends)["committed"] < 2:
            yield Violation("two outcomes", row.job_id, f"{row.state}, but its way says {ends}")


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
        elif row is not None and row.name in evidence.with_effect:
            if (row.state == "committed") != (effects == 1):
                yield Violation("effect missing", job, f"{row.state} with {effects} effects")


# Kills ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill on one sub-pipeline: from when it held, and until when at the least."""

    name: str
    fence: int
    held_from: int
    held_until: int


def kills_of(events: list[Event]) -> list[Kill]:
    """Kills that were acknowledged (or whose fence was), with the time they surely held."""
    found = []
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
            lifted = _lifted(events, name, asked.get(event["who"], event["t"]))
            # Without the store's latch only the fence was promised, not that no job starts.
            until = lifted if blocked else event["t"]
            found.append(Kill(name, fence, event["t"], until))
    return found


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
    return min(open_.values(), default=_FOREVER)


def kills(evidence: Evidence, offset: int) -> Iterator[Violation]:
    """After an acknowledged kill nothing starts concurrently and nothing older commits."""
    by_name: defaultdict[str, list[Kill]] = defaultdict(list)
    for kill in kills_of(evidence.events):
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
        yield from _row_against_kills(row, by_name[row.name], granted, offset)


def _row_against_kills(
    row: Row, kills: list[Kill], granted: set[tuple[str, int]], offset: int
) -> Iterator[Violation]:
    """Judge by the ledger's own times: starts no process lived to tell of, and commits."""
    for line in row.way:
        if line["what"] != "started" or line.get("path") != "concurrent":
            continue
        at = wall_ns(line["at"]) - offset
        told = (row.job_id, line["attempt"]) in granted
        for kill in kills:
            # When it was answered is unknown here, so only a kill that was never lifted counts.
            if not told and at > kill.held_from + _WAY_NS and kill.held_until == _FOREVER:
                yield Violation("start after kill", row.job_id, "in its way only")
                break
    if row.state != "committed" or row.path != "concurrent" or row.finished_at is None:
        return
    for kill in kills:
        late = row.finished_at - offset > kill.held_from + _WAY_NS
        if row.fence_revision < kill.fence and late:
            yield Violation("commit after fence", row.job_id, f"fence {kill.fence}")
            return


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
        windows[worker].append((since, _FOREVER))
    for event in evidence.events:
        if event["what"] != "claimed" or event["path"] != "concurrent":
            continue
        if event["asked"] is None:
            yield Violation("start without store", event["job"], "nobody was asked")
            continue
        for since, until in (*windows[None], *windows[event["who"]]):
            if since < event["asked"] and event["t0"] < until:
                yield Violation("start without store", event["job"], "asked while it was gone")
                break


def rest(evidence: Evidence, offset: int) -> Iterator[Violation]:
    """With everything up, jobs go on finishing until none is open."""
    up = next((event["t"] for event in evidence.events if event["what"] == "all up"), None)
    ended = next((event["t"] for event in evidence.events if event["what"] == "ended"), None)
    if up is None or ended is None:
        yield Violation("stuck", "", "the run did not come to its end")
        return
    finished = sorted(
        row.finished_at - offset for row in evidence.rows.values() if row.finished_at is not None
    )
    times = [up, *finished[bisect_right(finished, up) :]]
    open_ = any(row.finished_at is None for row in evidence.rows.values())
    if open_:
        times.append(max(ended, times[-1]))
    limit_ns = int(evidence.rest_s * 1e9)
    for before, after in zip(times, times[1:], strict=False):
        if after - before > limit_ns:
            still = [row.job_id for row in evidence.rows.values() if row.finished_at is None]
            said = f"nothing finished for {(after - before) / 1e9:.0f} s with everything up"
            yield Violation("stuck", (still or [""])[0], said)
            return
