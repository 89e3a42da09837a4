"""What callers hear: links, chains, chords and results; and what is said of a hook that fails."""

from collections.abc import Iterator

from tests.crash.evidence import Evidence
from tests.crash.violation import Violation

BROKEN = "broken"
"""In the words of every error that a hook of the crash app raises or swallows."""


def heard(evidence: Evidence) -> Iterator[Violation]:
    """When its first job is committed, what a link, chain or chord ends in is called."""
    called = {event["tag"] for event in evidence.events if event["what"] == "heard"}
    for event in evidence.events:
        if event["what"] != "submitted" or "awaited" not in event or event["awaited"] in called:
            continue
        jobs = [*event["jobs"], *event.get("chained", ())]
        states = {evidence.rows[job].state for job in jobs if job in evidence.rows}
        if states == {"committed"} and not _forgotten(evidence, int(event["t"])):
            yield Violation("not heard", event["jobs"][0], f"{len(jobs)} jobs, and no call")


def results(evidence: Evidence) -> Iterator[Violation]:
    """A caller's AsyncResult says what the ledger says."""
    since = {
        job: int(event["t"])
        for event in evidence.events
        if event["what"] == "submitted"
        for job in event["jobs"]
    }
    expected = {"committed": "SUCCESS", "failed": "FAILURE"}
    for job, answer in evidence.answers.items():
        row = evidence.rows.get(job)
        if row is None or row.state not in expected or job not in since:
            continue
        if answer != expected[row.state] and not _forgotten(evidence, since[job]):
            yield Violation("wrong answer", job, f"{row.state}, and its result says {answer}")


def _forgotten(evidence: Evidence, since: int) -> bool:
    """Whether a server forgot links on their way or results: nobody can tell what it held."""
    return any(
        event["what"] == "fault begun" and event["kind"] in evidence.forgets and event["t"] > since
        for event in evidence.events
    )


def hooks(evidence: Evidence) -> Iterator[Violation]:
    """A job whose hook fails on both paths is kept with the hook's own words."""
    broke = {event["job"] for event in evidence.events if event["what"] == "hook broke"}
    for job in broke:
        row = evidence.rows.get(job)
        if row is None or row.state != "failed":
            continue
        error = row.error or ""
        if BROKEN not in error and "workers died" not in error:
            yield Violation("words of a hook lost", job, error[:200])
