"""What a caller hears, whose death was none, and whether the counts agree with the rows."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.crash.beat_rules import silences
from tests.crash.evidence import Evidence
from tests.crash.history import Event
from tests.crash.times import Times
from tests.crash.violation import Violation
from tests.crash.windows import Window

_LIVED_NS = 5_000_000_000
"""A process that still writes so long after its commit has had the time to tell of it."""
_DUPLICATES_MAX = 10
"""Every fault of a run may deliver a job again, and what is told while the broker is away again."""
_HEARD_SHARE = 0.8
"""Of the time that a worker may be silent: heard of more lately than this, it was not."""
_FOUND_S = 12.0
"""A tick comes each second, and a controller listens anew when it has just begun to lead."""
_BETWEEN_NS = 10_000_000_000
"""A hook that met its own row names it, whoever ran it; others' faults end within this."""


def answers(evidence: Evidence, times: Times) -> Iterator[Violation]:
    """Whoever committed a job and lived on has told Celery its result."""
    told = {event["job"] for event in evidence.events if _tells(event)}
    claims: dict[tuple[str, int], Event] = {}
    last: dict[str, int] = {}
    for event in evidence.events:
        last[_file(event)] = event["t"]
        if event["what"] == "claimed":
            claims[event["job"], event["attempt"]] = event
    for row in evidence.rows.values():
        claim, finished = claims.get((row.job_id, row.attempt)), times.finished(row)
        if row.state != "committed" or row.job_id in told or claim is None or finished is None:
            continue
        if last[_file(claim)] - finished > _LIVED_NS:
            yield Violation("not told", row.job_id, f"attempt {row.attempt} committed, and no word")


def _file(event: Event) -> str:
    """The process that wrote it: each has a file of its own."""
    return str(event.get("file") or event["who"])


def _tells(event: Event) -> bool:
    """Whether Celery got the result, at once or by a delivery that found the outcome there."""
    return event["what"] == "told" or event.get("why") == "finished"


def deaths(evidence: Evidence) -> Iterator[Violation]:
    """No worker is taken for dead that was heard of a moment ago, and a dead one is found soon."""
    hurt = silences(evidence)
    claims: defaultdict[str, list[Event]] = defaultdict(list)
    heard: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for event in evidence.events:
        if event["what"] == "claimed":
            claims[event["job"]].append(event)
        elif event["what"] == "renewed":
            heard[event["job"], event["worker"]].append(event["t"])
        elif event["what"] == "silenced":
            yield from _death(evidence, event, claims[event["job"]], heard, hurt)


def _death(
    evidence: Evidence,
    event: Event,
    claims: list[Event],
    heard: dict[tuple[str, str], list[int]],
    hurt: list[Window],
) -> Iterator[Violation]:
    job = event["job"]
    row = evidence.rows.get(job)
    starts = 0 if row is None else sum(line["what"] == "started" for line in row.way)
    if not claims or starts < len(claims) or claims[-1].get("worker") is None:
        return  # a start of which no process lived to tell, or a row that has gone
    mine = heard.get((job, claims[-1]["worker"]), [])
    at = bisect_right(mine, event["t"])
    lately = max(claims[-1]["t"], mine[at - 1] if at else 0)
    silent_s = (event["t"] - lately) / 1e9
    late = silent_s > evidence.silent_s + _FOUND_S
    if late and not any(window.meets(lately, event["t"]) for window in hurt):
        yield Violation("found dead late", job, f"silent for {silent_s:.1f} s by then")
    if silent_s < evidence.silent_s * _HEARD_SHARE:
        yield Violation("died for nothing", job, f"heard of {silent_s:.1f} s before")


def effects(evidence: Evidence) -> Iterator[Violation]:
    """The effect that is there is that of the attempt that committed; hooks met nothing of theirs.

    A third of the hooks write a row with a key: run again after its commit, one meets that row.
    """
    for job, attempt in evidence.effect_attempts.items():
        row = evidence.rows.get(job)
        if row is not None and row.state == "committed" and row.attempt != attempt:
            said = f"effect of attempt {attempt}, committed by {row.attempt}"
            yield Violation("effect of another", job, said)
    for row in evidence.rows.values():
        if "IntegrityError" in (row.error or ""):
            yield Violation("hook met itself", row.job_id, str(row.error)[:200])


def unsafe(evidence: Evidence) -> Iterator[Violation]:
    """What changed the world and lived on to say so is not kept as a failure."""
    did: dict[str, Event] = {}
    last: dict[str, int] = {}
    for event in evidence.events:
        last[_file(event)] = event["t"]
        if event["what"] == "did":
            did[event["job"]] = event
    for job, event in did.items():
        row = evidence.rows.get(job)
        lived = last[_file(event)] - event["t"] > _LIVED_NS
        if row is not None and row.state == "failed" and lived and _undisturbed(evidence, event):
            yield Violation("done and failed", job, str(row.error)[:200])


_DISTURBS = ("ledger", "postgres", "link", "answers", "stopped", "killed", "poison", "kills")


def _undisturbed(evidence: Evidence, did: Event) -> bool:
    """Whether nothing but a stop, a clock or a store hurt the plant while the job ran and ended."""
    began: dict[int, Event] = {}
    for event in evidence.events:
        if event["what"] == "fault begun" and any(one in event["kind"] for one in _DISTURBS):
            began[event["n"]] = event
        if event["what"] == "process died" and abs(event["t"] - did["t"]) < _BETWEEN_NS:
            return False
    ended = {e["n"]: e["t"] for e in evidence.events if e["what"] == "fault ended"}
    return not any(
        event["t"] < did["t"] + _BETWEEN_NS
        and ended.get(number, event["t"]) > did["t"] - 2 * _BETWEEN_NS
        for number, event in began.items()
    )


def spins(evidence: Evidence) -> Iterator[Violation]:
    """A duplicate of a finished job ends with its delivery: no worker gets it over and over."""
    again = Counter(
        event["job"]
        for event in evidence.events
        if event["what"] == "claim refused" and event["why"] == "finished"
    )
    for job, times in again.items():
        if times > _DUPLICATES_MAX:
            yield Violation("delivered over and over", job, f"{times} times after its outcome")


def tallies(evidence: Evidence) -> Iterator[Violation]:
    """The controller's counts are those of the rows, each job once."""
    if not evidence.tallies:
        return
    rows: Counter[tuple[str, str]] = Counter(
        (row.name, row.state) for row in evidence.rows.values() if row.state in _ENDS
    )
    counted = {key: jobs for key, jobs in evidence.tallies.items() if jobs}
    for key in rows.keys() | counted.keys():
        if rows[key] != counted.get(key, 0):
            said = f"{counted.get(key, 0)} {key[1]} counted, {rows[key]} rows"
            yield Violation("miscounted", key[0], said)


_ENDS = ("committed", "failed")
