"""Differences that are meant, each with its reason: what is not here has to be the same.

docs/adopting.md tells them in its table "What differs, and why"; `test_documented.py` holds the two
together by the first cell of each row.
"""

from ast import literal_eval
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Notes = list[list[Any]]

LATE = "`acks_late` is True"
LOST = "`reject_on_worker_lost` and `retry_on_worker_lost` have no effect"
TWICE = "a job that fails on both paths has run twice"
DIRECT = "`bill(...)` and `bill.run(...)` take the job its whole way in this process"

ATTRIBUTES = {
    "acks_late": LATE,
    "reject_on_worker_lost": LOST,
    "retry_on_worker_lost": LOST,
    "Request": LOST,
}
"""Attributes of a task that differ, and the row of the docs that says why."""


@dataclass(frozen=True)
class Difference:
    """One case that differs.

    Attributes:
        case: Its name.
        modes: In which modes.
        parts: Which of `said`, `backend` and `notes` differ.
        row: First cell of the row of the docs that says why it is meant.
        holds: Whether what was seen behind rollout is what is meant.
    """

    case: str
    modes: tuple[str, ...]
    parts: tuple[str, ...]
    row: str
    holds: Callable[[Any], bool] = lambda behind: True


BEHIND = ("legacy", "concurrent", "fallback", "kill")

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "exits",
        BEHIND,
        ("said", "backend", "notes"),
        "`sys.exit` in a body fails the job with `JobFailed`",
        lambda behind: (
            behind.said[:2] == ["raised", "JobFailed"] and "SystemExit(3)" in behind.said[2]
        ),
    ),
    *(
        Difference(
            case,
            BEHIND,
            ("notes",),
            LATE,
            lambda behind: ["event", "task-rejected"] in behind.notes,
        )
        for case in ("rejects", "failure_not_acknowledged")
    ),
    Difference(
        "autoretry_when_the_other_path_has_used_its_own",
        ("fallback",),
        ("notes",),
        "retries on the concurrent path come before legacy's",
        lambda behind: [line[4] for line in behind.notes if line[0] == "ran"] == [0, 1, 2],
    ),
    Difference(
        "the_queue_that_it_came_by",
        BEHIND,
        ("said", "backend", "notes"),
        '`request.delivery_info["routing_key"]` is `invoices.legacy` or `invoices.concurrent`',
        lambda behind: behind.said[1] in ("plain.legacy", "plain.concurrent"),
    ),
    Difference(
        "looks",
        BEHIND,
        ("said",),
        "arguments of a pydantic task are checked when it is called",
        lambda behind: behind.said["order"][4] == "(order, case=0)",
    ),
    *(
        Difference(case, ("concurrent", "fallback", "kill"), ("notes",), DIRECT)
        for case in ("unit_tests", "canvases_that_run_here")
    ),
    Difference(
        "retries_and_returns",
        BEHIND,
        ("said", "backend", "notes"),
        "what a body returns after `retry(throw=False)` is dropped",
        lambda behind: behind.said == ["value", "of the second"],
    ),
    Difference(
        "models_that_do_not_fit",
        ("fallback",),
        ("notes",),
        TWICE,  # the model is read before the path is called
    ),
    Difference(
        "retries_to_a_queue",
        ("concurrent",),
        ("notes",),
        "retries on the concurrent path come before legacy's",
        lambda behind: [line[4] for line in behind.notes if line[0] == "ran"] == [0, 0, 1],
    ),
    Difference(
        "registered_as_before",
        BEHIND,
        ("said",),
        "`inspect registered` lists `shop.tasks.bill.shadow` beside the task",
        lambda behind: "shop.plain.shadow [max_retries=0]" in behind.said,
    ),
)


FALLBACK = (
    "a fallback adds one `task_prerun`, one `task_postrun` with `IGNORED`, one `before_start` and "
    "the events `task-received` and `task-started`"
)


def without_fallbacks(notes: Notes) -> Notes:
    """The notes of a fallback without what each start that fell back has added.

    The start on the concurrent path was a start: it adds what `FALLBACK` says.
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


SHOWN_ELSEWHERE = {
    FALLBACK: "without_fallbacks",
    TWICE: "tried_before",
    "a queue that the caller names (`apply_async(queue=...)`, a beat entry) opts that job out": (
        "test_explicit_queue_is_an_opt_out"
    ),
    "an id that is used again raises `AlreadyFinished`; from a task's body it is not run again": (
        "test_a_second_submission_of_a_finished_id_says_that_it_was_not_made"
    ),
    "`celery purge` does not call jobs off": "test_one_lost_message_is_found_under_steady_traffic",
    "`bill` is no instance of `celery.Task`": "test_it_stands_for_the_task",
    "a result that JSON cannot carry is not kept in the ledger": ("object_nobody_wants"),
}
"""Rows of the docs that are no difference of one case, and what shows them."""


def differences_of(case: str, mode: str) -> dict[str, Difference]:
    """What may differ in a case, by part."""
    return {
        part: one
        for one in DIFFERENCES
        if one.case == case and mode in one.modes
        for part in one.parts
    }
