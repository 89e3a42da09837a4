"""Every name that Celery lets a user write, and what was decided about it behind rollout.

`Same` names the case that shows it, `Refused` the sentence of the declaration, `Meant` a
difference, `Aside` why it cannot matter. A name that Celery adds is in none, and fails the suite.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Same:
    """The same behind rollout; the case compares it."""

    case: str


@dataclass(frozen=True)
class Refused:
    """The declaration (or the submission) says why."""

    says: str


@dataclass(frozen=True)
class Meant:
    """Different, for the reason in `differences.ATTRIBUTES` or docs/adopting.md."""

    why: str


@dataclass(frozen=True)
class Aside:
    """Nothing that a declaration changes."""

    why: str


Decision = Same | Refused | Meant | Aside

_OF_APPLY = Aside("the caller's connection, which rollout uses as it is")
_ROUTES = Meant("names the caller's own queue: the job opts out, `status` and `doctor` count it")

TASK_OPTIONS: dict[str, Decision] = {
    "shared": Refused("a shared task is copied into every app"),
    "filter": Refused("the object that a declaration gives is the sub-pipeline"),
    "lazy": Refused("the task is made when the app is used"),
    "name": Refused("the Celery task's name is written task_name="),
    "base": Same("hooked_returns"),
    "bind": Same("bound_returns"),
    "pydantic": Same("models"),
    "pydantic_strict": Same("models_that_do_not_fit"),
    "pydantic_context": Same("models_that_are_strict"),
    "pydantic_dump_kwargs": Same("models_that_are_strict"),
    "autoretry_for": Same("autoretry"),
    "dont_autoretry_for": Same("autoretry_not_for"),
    "retry_kwargs": Same("autoretry"),
    "retry_backoff": Same("autoretry"),
    "retry_backoff_max": Same("autoretry"),
    "retry_jitter": Same("autoretry"),
    "queue": Refused("rollout chooses the queue of every job"),
    "exchange": Refused("rollout chooses the queue of every job"),
    "routing_key": Refused("rollout chooses the queue of every job"),
    "delivery_mode": Same("task_options_on_the_message"),
    "compression": Same("task_options_on_the_message"),
    "immediate": Aside("deprecated, and no transport of Celery's honours it"),
    "mandatory": Aside("deprecated; a queue of rollout's always exists"),
}
"""Options of `Celery.task` that are no attribute of `Task`."""

TASK_ATTRIBUTES: dict[str, Decision] = {
    "Request": Meant("the worker's main process sends a lost job to legacy"),
    "Strategy": Aside("one of its own is refused when the task is made; test_declaring.py has it"),
    "abstract": Same("attributes"),
    "acks_late": Refused("a message is acknowledged when its job has its outcome"),
    "acks_on_failure": Same("failure_not_acknowledged"),
    "acks_on_failure_or_timeout": Same("failure_not_acknowledged"),
    "acks_on_timeout": Same("attributes"),
    "app": Aside("the app that the sub-pipeline is declared on"),
    "backend": Same("attributes"),
    "default_retry_delay": Same("autoretry"),
    "expires": Same("task_options_on_the_message"),
    "from_config": Same("attributes"),
    "ignore_result": Same("object_nobody_wants"),
    "max_retries": Same("retries_exhausted"),
    "name": Same("looks"),
    "priority": Same("task_options_on_the_message"),
    "rate_limit": Same("rated_returns"),
    "reject_on_worker_lost": Meant("a job whose worker died goes to legacy at once"),
    "request": Same("request_attributes"),
    "request_stack": Aside("Celery's own"),
    "resultrepr_maxsize": Same("rated_returns"),
    "retry_on_worker_lost": Meant("a job whose worker died goes to legacy at once"),
    "send_events": Same("rated_returns"),
    "serializer": Refused("the ledger keeps every message as JSON"),
    "soft_time_limit": Same("soft_limit"),
    "store_eager_result": Same("attributes"),
    "store_errors_even_if_ignored": Same("storing_fails"),
    "throws": Same("tracked_fails"),
    "time_limit": Same("hard_limit"),
    "track_started": Same("tracked_returns"),
    "trail": Same("tracked_returns"),
    "typing": Same("arguments_are_not_checked"),
}

TASK_METHODS: dict[str, Decision] = {
    "AsyncResult": Same("results"),
    "MaxRetriesExceededError": Same("retries_exhausted"),
    "OperationalError": Aside("an exception class"),
    "add_around": Same("hooked_returns"),
    "add_to_chord": Same("a_chord_that_grows"),
    "add_trail": Same("links"),
    "after_return": Same("hooked_returns"),
    "annotate": Same("hooked_returns"),
    "apply": Same("unit_tests"),
    "apply_async": Same("plain_returns"),
    "before_start": Same("hooked_returns"),
    "bind": Aside("called by Celery when the task is made"),
    "chunks": Same("maps"),
    "delay": Same("arguments_are_checked"),
    "map": Same("maps"),
    "on_bound": Aside("called by Celery when the task is made"),
    "on_failure": Same("hooked_fails"),
    "on_replace": Same("replaced"),
    "on_retry": Same("retries"),
    "on_success": Same("hooked_returns"),
    "pop_request": Aside("Celery's own"),
    "push_request": Aside("Celery's own"),
    "replace": Same("replaced"),
    "retry": Same("retries"),
    "run": Meant("a direct call and `run` take the job its whole way in this process"),
    "s": Same("signatures"),
    "send_event": Same("tells_its_progress"),
    "shadow_name": Same("task_options_on_the_message"),
    "si": Same("signatures"),
    "signature": Same("signatures"),
    "signature_from_request": Same("retries_with_other_arguments"),
    "starmap": Same("maps"),
    "start_strategy": Aside("called by Celery when the worker starts"),
    "subtask": Same("signatures"),
    "subtask_from_request": Same("retries"),
    "update_state": Same("tells_its_progress"),
}

CALL_OPTIONS: dict[str, Decision] = {
    "args": Same("plain_returns"),
    "kwargs": Same("plain_returns"),
    "name": Same("by_name"),
    "task_id": Same("plain_returns"),
    "producer": _OF_APPLY,
    "publisher": _OF_APPLY,
    "connection": _OF_APPLY,
    "link": Same("links"),
    "link_error": Same("errbacks"),
    "callbacks": Same("links"),
    "errbacks": Same("errbacks"),
    "shadow": Same("caller_options_on_the_message"),
    "countdown": Same("countdown"),
    "eta": Same("eta"),
    "expires": Same("expired"),
    "router": Aside("asked by Celery before the door; the door has the last word"),
    "result_cls": Aside("makes the caller's own object of the id"),
    "add_to_parent": Same("children_that_do_not_count"),
    "group_id": Same("groups"),
    "group_index": Same("groups"),
    "retries": Same("retries"),
    "chord": Same("chords"),
    "chain": Same("chains"),
    "reply_to": Same("caller_options_on_the_message"),
    "time_limit": Same("hard_limit_of_the_caller"),
    "soft_time_limit": Same("caller_options_on_the_message"),
    "root_id": Same("caller_options_on_the_message"),
    "parent_id": Same("caller_options_on_the_message"),
    "route_name": Aside("asked by Celery before the door; the door has the last word"),
    "task_type": Aside("Celery's own"),
    "replaced_task_nesting": Same("replaced_by_itself"),
    "create_sent_event": Aside("Celery's own"),
    "now": Aside("Celery's own"),
    "timezone": Aside("Celery's own"),
    "origin": Same("request_attributes"),
    "ignore_result": Same("no_result_wanted"),
    "argsrepr": Same("caller_options_on_the_message"),
    "kwargsrepr": Same("caller_options_on_the_message"),
    "stamped_headers": Same("stamps_by_a_visitor"),
    # Of the producer
    "body": Aside("made by Celery of the arguments"),
    "routing_key": _ROUTES,
    "queue": _ROUTES,
    "exchange": _ROUTES,
    "exchange_type": _ROUTES,
    "delivery_mode": Same("task_options_on_the_message"),
    "mandatory": _OF_APPLY,
    "immediate": _OF_APPLY,
    "priority": Same("caller_options_on_the_message"),
    "content_type": Aside("follows from the serializer"),
    "content_encoding": Aside("follows from the serializer"),
    "serializer": Refused("the arguments of"),
    "headers": Same("caller_options_on_the_message"),
    "compression": Same("caller_options_on_the_message"),
    "retry": Same("its_own_way_to_publish"),
    "retry_policy": Same("its_own_way_to_publish"),
    "declare": _OF_APPLY,
    "expiration": Same("caller_options_on_the_message"),
    "timeout": _OF_APPLY,
    "confirm_timeout": _OF_APPLY,
    "event_dispatcher": _OF_APPLY,
}
"""Arguments of `apply_async`, `send_task`, the message that they make and the producer."""

SIGNALS: dict[str, Decision] = {
    "before_task_publish": Same("plain_returns"),
    "after_task_publish": Same("plain_returns"),
    "task_internal_error": Aside("a defect of the worker, not of a task"),
    "task_prerun": Same("plain_returns"),
    "task_postrun": Same("plain_returns"),
    "task_success": Same("plain_returns"),
    "task_received": Aside("one for each message, as before"),
    "task_rejected": Aside("a message that is no task; kept in the ledger, too"),
    "task_unknown": Aside("a message of an unknown task; kept in the ledger, too"),
    "task_retry": Same("retries"),
    "task_failure": Same("plain_fails"),
    "task_revoked": Same("revoked_while_waiting"),
    **dict.fromkeys(
        (
            "celeryd_init", "celeryd_after_setup", "worker_init", "worker_before_create_process",
            "worker_process_init", "worker_process_shutdown", "worker_ready", "worker_shutdown",
            "worker_shutting_down", "setup_logging", "after_setup_logger",
            "after_setup_task_logger", "beat_init", "beat_embedded_init", "heartbeat_sent",
            "eventlet_pool_started", "eventlet_pool_preshutdown", "eventlet_pool_postshutdown",
            "eventlet_pool_apply",
        ),
        Aside("the worker's own; rollout starts no process and no thread in it"),
    ),
}  # fmt: skip

CANVAS: dict[str, Decision] = {
    "Signature": Same("signatures"),
    "chain": Same("chains"),
    "xmap": Same("maps"),
    "xstarmap": Same("maps"),
    "chunks": Same("maps"),
    "group": Same("groups"),
    "chord": Same("chords"),
    "signature": Same("signatures"),
    "maybe_signature": Same("signatures"),
}

_SEEN = Same("request_attributes")
REQUEST_ATTRIBUTES: dict[str, Decision] = {
    "hostname": Aside("the worker's name"),
    "delivery_info": Meant("the routing key is the queue that rollout chose"),
    "properties": Aside("the transport's; what is the caller's is compared by its own name"),
    "children": Same("links"),
    "as_execution_options": Same("retries"),
    "update": Aside("Celery's own"),
    "clear": Aside("Celery's own"),
    "get": Aside("Celery's own"),
    **dict.fromkeys(
        (
            "args", "callbacks", "called_directly", "chain", "chord", "correlation_id", "errbacks",
            "eta", "expires", "group", "group_index", "headers", "id", "ignore_result", "is_eager",
            "kwargs", "logfile", "loglevel", "origin", "parent_id", "retries", "reply_to",
            "replaced_task_nesting", "root_id", "shadow", "taskset", "timelimit", "time_limit",
            "soft_time_limit", "utc", "stamped_headers", "stamps",
        ),
        _SEEN,
    ),
}  # fmt: skip
