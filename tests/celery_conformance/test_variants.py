"""The same on other result backends, and under settings that change what Celery does."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.celery_conformance.compare import assert_same, observe_plainly
from tests.celery_conformance.modes import Observed

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]

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

ANSWERED_ELSEWHERE = ("replaced", "links", "caller_options_on_the_message", "waits_for_a_child")
"""What rpc answers to another process than the one that asks here."""

Variant = dict[str, Any]

BACKENDS: dict[str, Variant] = {
    "database": {"backend": "db+sqlite:///{folder}/results.db", "cases": (*CASES, *CHORDS)},
    "rpc": {
        "backend": "rpc://",
        "cases": [case for case in CASES if case not in ANSWERED_ELSEWHERE],
    },
    "disabled": {
        "backend": "disabled://",
        "cases": [case for case in CASES if case not in ASK_RESULTS],
    },
}
"""Families beside Redis, which the whole table runs on; rpc by the broker that is there."""

SETTINGS: dict[str, Variant] = {
    "results": {
        "result_extended": False,
        "task_track_started": True,
        "result_serializer": "pickle",
        "result_accept_content": ["json", "pickle"],
        "task_store_errors_even_if_ignored": True,
    },
    "queues": {
        "task_create_missing_queues": False,
        "task_default_queue": "main",
        "task_queues": {"main": {"exchange": "main", "routing_key": "main"}},
        "task_inherit_parent_priority": True,
        "task_default_priority": 3,
    },
    "times": {"enable_utc": False, "timezone": "Europe/Berlin"},
    "acknowledgements and limits": {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure_or_timeout": False,
        "task_time_limit": 30,
        "task_soft_time_limit": 20,
        "worker_prefetch_multiplier": 1,
        "worker_deduplicate_successful_tasks": True,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
    },
    "results that nobody wants": {
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": True,
    },
}
VARIANTS: dict[str, Variant] = {
    **BACKENDS,
    **{name: {"settings": settings, "cases": CASES} for name, settings in SETTINGS.items()},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_it_is_the_same_with(tmp_path: Path, name: str) -> None:
    """Both paths run in a fallback; a kill sends every message again, with what results need."""
    cases, settings = VARIANTS[name]["cases"], VARIANTS[name].get("settings")

    def one(mode: str) -> dict[str, Observed]:
        folder = tmp_path / mode
        backend = VARIANTS[name].get("backend", "").format(folder=folder)
        return observe_plainly(
            mode, folder, *cases, pool="-P prefork -c 3", backend=backend, settings=settings
        )

    modes = ("bare", "fallback", "kill") if name in BACKENDS else ("bare", "fallback")
    with ThreadPoolExecutor(2) as pool:
        bare, *behind = pool.map(one, modes)
    for mode, observed in zip(modes[1:], behind, strict=True):
        for case in cases:
            assert_same(case, mode, bare[case], observed[case])
