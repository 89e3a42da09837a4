"""The same on other result backends, and under settings that change what Celery does."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.celery_conformance.compare import assert_same, assert_whole, observe_plainly
from tests.celery_conformance.modes import Observed

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(1200)]

CASES = (
    "plain_returns", "plain_fails", "hooked_returns", "hooked_fails", "ignored_returns",
    "storing_fails", "object_is_no_result", "object_nobody_wants", "retries", "retries_exhausted",
    "autoretry", "replaced", "rejects", "ignores", "links", "errbacks", "chains", "groups",
    "caller_options_on_the_message", "request_attributes", "countdown", "eta_without_a_zone",
    "expires_without_a_zone", "expired", "soft_limit_that_is_caught", "hard_limit",
    "forwards_its_headers", "tells_its_progress", "waits_for_a_child", "revoked_by_its_stamp",
)  # fmt: skip
CHORDS = ("chords", "a_chord_with_an_error", "replaced_by_a_group")

ASK_RESULTS = ("links", "chains", "groups", "tells_its_progress", "waits_for_a_child")
"""What cannot be written without a result backend."""

ASK_SEVERAL = ("chains", "groups")
"""What has results that do not say that nobody wanted them: their caller would wait in vain."""

ANSWERED_ELSEWHERE = ("replaced", "links", "caller_options_on_the_message", "waits_for_a_child")
"""What rpc answers to another process than the one that asks here."""

REPEATED = ("hard_limit",)
"""What bare Celery runs again and again where a lost worker's messages are requeued."""

RESULTS = {
    "result_extended": False,
    "task_track_started": True,
    "result_serializer": "pickle",
    "result_accept_content": ["json", "pickle"],
    "task_store_errors_even_if_ignored": True,
    "task_remote_tracebacks": True,
}
QUEUES = {
    "task_create_missing_queues": False,
    "task_default_queue": "main",
    "task_queues": {"main": {"exchange": "main", "routing_key": "main"}},
    "task_default_priority": 3,
}
TIMES = {"enable_utc": False, "timezone": "Europe/Berlin"}
ACKNOWLEDGEMENTS_AND_LIMITS = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_acks_on_failure_or_timeout": False,
    "task_time_limit": 30,
    "worker_prefetch_multiplier": 1,
    "worker_deduplicate_successful_tasks": True,
    "worker_cancel_long_running_tasks_on_connection_loss": True,
}
NOBODY_WANTS_THEM = {"task_ignore_result": True, "task_store_errors_even_if_ignored": True}


@dataclass(frozen=True)
class Variant:
    """A result backend with settings that do not touch each other: each has its own cases.

    Attributes:
        backend: URL of the result backend, `{folder}` filled in; empty is a database of Redis.
        settings: Celery's, over those of the suite's app.
        cases: What runs on it.
        modes: Beside bare Celery.
    """

    backend: str
    settings: dict[str, Any]
    cases: Sequence[str]
    modes: Sequence[str] = ("fallback",)


def without(cases: Sequence[str]) -> list[str]:
    """The cases but these."""
    return [case for case in CASES if case not in cases]


VARIANTS: dict[str, Variant] = {
    "a database for results, pickled, local times": Variant(
        "db+sqlite:///{folder}/results.db",
        RESULTS | TIMES,
        (*CASES, *CHORDS, "where_it_failed"),
        ("fallback", "kill"),
    ),
    "results by rpc, queues by name, late acknowledgements": Variant(
        "rpc://",
        QUEUES | ACKNOWLEDGEMENTS_AND_LIMITS,
        without((*ANSWERED_ELSEWHERE, *REPEATED)),
        ("fallback", "kill"),
    ),
    "no result backend": Variant("disabled://", {}, without(ASK_RESULTS)),
    "results that nobody wants": Variant("", NOBODY_WANTS_THEM, without(ASK_SEVERAL)),
}
"""Families of backends beside Redis, which the whole table runs on; rpc by the broker there is."""


@pytest.mark.parametrize("name", VARIANTS)
def test_it_is_the_same_with(tmp_path: Path, name: str) -> None:
    """Both paths run in a fallback; a kill sends every message again, with what results need."""
    variant = VARIANTS[name]

    def one(mode: str) -> dict[str, Observed]:
        folder = tmp_path / mode
        return observe_plainly(
            mode,
            folder,
            *variant.cases,
            backend=variant.backend.format(folder=folder),
            settings=variant.settings,
        )

    with ThreadPoolExecutor(2) as pool:
        bare, *behind = pool.map(one, ("bare", *variant.modes))
    assert_whole(bare)
    for mode, observed in zip(variant.modes, behind, strict=True):
        for case in variant.cases:
            assert_same(case, mode, bare[case], observed[case])
