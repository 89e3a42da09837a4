"""Differences that are meant, each with its reason: what is not here has to be the same.

docs/adopting.md tells them; a test holds the two together by the names used here.
"""

from ast import literal_eval
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Notes = list[list[Any]]

ATTRIBUTES = {
    "acks_late": "a message is acknowledged when its job has its outcome, so a dead worker loses "
    "none",
    "reject_on_worker_lost": "a job whose worker died goes to legacy at once; Celery would send it "
    "to the same path again",
    "retry_on_worker_lost": "the same",
    "Request": "the worker's main process sends a lost job to legacy",
}
"""Attributes of a task that differ."""


@dataclass(frozen=True)
class Difference:
    """One case that differs.

    Attributes:
        case: Its name.
        modes: In which modes.
        parts: Which of `said`, `backend` and `notes` differ.
        reason: Why it is meant.
        holds: Whether what was seen behind rollout is what is meant.
    """

    case: str
    modes: tuple[str, ...]
    parts: tuple[str, ...]
    reason: str
    holds: Callable[[Any], bool] = lambda behind: True


BEHIND = ("legacy", "concurrent", "fallback", "kill")

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "exits",
        BEHIND,
        ("said", "backend", "notes"),
        "sys.exit in a body fails the job, and leaves the worker's process alone",
        lambda behind: (
            behind.said[:2] == ["raised", "JobFailed"] and "SystemExit(3)" in behind.said[2]
        ),
    ),
    *(
        Difference(
            case,
            BEHIND,
            ("notes",),
            "a message that is given back is still there to be rejected: acks_late is True",
            lambda behind: ["event", "task-rejected"] in behind.notes,
        )
        for case in ("rejects", "failure_not_acknowledged")
    ),
    Difference(
        "autoretry_when_the_other_path_has_used_its_own",
        ("fallback",),
        ("notes",),
        "retries on the concurrent path come first, and are not legacy's",
        lambda behind: [line[4] for line in behind.notes if line[0] == "ran"] == [0, 1, 2],
    ),
    Difference(
        "looks",
        BEHIND,
        ("said",),
        "arguments of a pydantic task are checked when it is called; Celery's wrapper hides them",
        lambda behind: behind.said["order"][4] == "(order, case=0)",
    ),
    Difference(
        "unit_tests",
        ("concurrent", "fallback", "kill"),
        ("notes",),
        "with a ledger of its own a job that runs in its caller's process takes its way there",
    ),
)


def without_fallbacks(notes: Notes) -> Notes:
    """The notes of a fallback without what each start that fell back has added.

    A fallback adds one `task_prerun`, one `before_start`, one `task_postrun` with IGNORED and the
    events `task-received` and `task-started`: the start on the concurrent path was a start.
    """
    extra: Counter[str] = Counter()
    for line in notes:
        if line[0] == "fell":
            for words in _added_by_one(line):
                extra[repr(words)] += 1
    kept = []
    for line in notes:
        if extra[repr(line)] > 0:
            extra[repr(line)] -= 1
        else:
            kept.append(line)
    return kept


def _added_by_one(fell: list[Any]) -> Iterator[list[Any]]:
    _, task, watched = fell
    yield fell
    yield ["called", task]
    yield ["prerun", task]
    yield ["before_start", task]
    yield ["postrun", task, "IGNORED"]
    if watched:
        yield ["event", "task-received"]
        yield ["event", "task-started"]


BOTH_FAILED = (
    "ran", "prerun", "postrun", "before_start", "retry", "on_retry", "publish", "event", "called",
    "success",
)  # fmt: skip
"""What a job that fails on both paths, and what it sends, say twice: there and on legacy."""


def tried_before(mode: str, bare: Notes, added: Counter[str]) -> bool:
    """Whether what was added is the concurrent path's own try of a job that legacy fails, too."""
    fails = any(line[0] == "failure" for line in bare)
    lines = [literal_eval(line) for line in added]
    return mode == "concurrent" and fails and all(line[0] in BOTH_FAILED for line in lines)


def differences_of(case: str, mode: str) -> dict[str, Difference]:
    """What may differ in a case, by part."""
    return {
        part: one
        for one in DIFFERENCES
        if one.case == case and mode in one.modes
        for part in one.parts
    }
