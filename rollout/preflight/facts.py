"""What is known of a task, its jobs and the machine, before anything is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class JobFact:
    """One job of the last days, as far as its source tells.

    Attributes:
        where: How a person finds it: "job 4f2a", "inputs.jsonl line 7".
        args: Its positional arguments; None when the source does not tell.
        kwargs: Its keyword arguments; None when the source does not tell.
        seconds: How long it ran; None when the source does not tell.
        size_bytes: Its message as it was sent or kept; None when the source does not tell.
        unreadable: Why its arguments cannot be read; "" when they can.
    """

    where: str
    args: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] | None = None
    seconds: float | None = None
    size_bytes: int | None = None
    unreadable: str = ""

    @property
    def arguments(self) -> tuple[tuple[Any, ...], Mapping[str, Any]] | None:
        """Both kinds of arguments; None when the source does not tell."""
        if self.args is None or self.kwargs is None:
            return None
        return self.args, self.kwargs


@dataclass(frozen=True, slots=True)
class Source:
    """Where jobs were read from, and how many of them."""

    name: str
    jobs: int


@dataclass(frozen=True, slots=True)
class Wait:
    """A place in the source at which a task waits for another one."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class ScannedSource:
    """What the source of a task, and of what it calls, says.

    Attributes:
        waits: Places that wait for another task.
        functions: Functions whose source was read.
        unread: Functions whose source could not be read.
    """

    waits: Sequence[Wait]
    functions: int
    unread: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """Connections that each process may open to one database."""

    database: str
    size: int


@dataclass(frozen=True, slots=True)
class Room:
    """What a database lets in.

    Attributes:
        database: Which, without its password.
        connections_max: All that it allows to ordinary users.
        used: Taken now, whoever has them.
    """

    database: str
    connections_max: int
    used: int


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """The task and how it is set up.

    Attributes:
        name: The sub-pipeline, or the task while it is none.
        declared: Whether it is a sub-pipeline.
        effects: What its paths do to the world; "" when nobody has said.
        key: What jobs are routed by, in words; "" for the job's id, so for none.
        time_limit_s: When Celery ends a run; None for never.
        soft_limit_s: When Celery asks a run to end; None for never.
        redelivered_after_s: When the broker sends an unacknowledged job again; None for never.
        ends_worker: Whether it closes the worker's channel for that, as RabbitMQ does.
        payload_bytes_max: Largest message that rollout takes.
        serializer: How Celery writes the task's messages today.
        processes: Processes of the concurrent path that are planned.
        first_step_bp: Scope of the first step, in basis points.
        source: What its source says.
        pools: What each process may open.
        rooms: What the databases let in.
        unasked: Databases whose room could not be asked, with the reason.
    """

    name: str
    declared: bool
    effects: str
    key: str
    time_limit_s: float | None
    soft_limit_s: float | None
    redelivered_after_s: float | None
    ends_worker: bool
    payload_bytes_max: int
    serializer: str
    processes: int
    first_step_bp: int
    source: ScannedSource
    pools: Sequence[Pool] = ()
    rooms: Sequence[Room] = ()
    unasked: Mapping[str, str] = field(default_factory=dict)


class Touched(StrEnum):
    """Ways in which a run can touch the world, or stand in the way of others."""

    FILE = "file"
    """It opens a file to write, or moves, makes or removes one."""
    PROGRAM = "program"
    """It starts a program, whose writes nobody sees."""
    REQUEST = "request"
    """It sends an HTTP request that changes something."""
    MAIL = "mail"
    """It sends mail or uploads a file."""
    STATEMENT = "statement"
    """It writes to a database."""
    MESSAGE = "message"
    """It submits another job."""
    WAIT = "wait"
    """It waits for the result of another job."""
    CONNECTION = "connection"
    """It opens a connection; what goes through it nobody sees."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One thing that a run did beside returning; all but connections and what is allowed were
    refused."""

    kind: Touched
    what: str
    allowed: bool = False


class Order(StrEnum):
    """Among which others a job ran; every one begins in a fresh process."""

    FORTH = "in order"
    """Alone, in the order in which the jobs came."""
    AGAIN = "in order again"
    """The same once more: what differs between the two varies by itself."""
    BACK = "backwards"
    """Alone, in the opposite order."""
    LOAD = "under load"
    """With other processes beside it, each in another order."""


@dataclass(frozen=True, slots=True)
class TriedRun:
    """One job on the concurrent path, in a process that refuses what it would write.

    Attributes:
        number: Which of the jobs that were tried.
        where: That job, as its source names it.
        order: Among which others.
        value: Its result after JSON.
        error: What it raised; None when it returned.
        seconds: How long it took.
        touches: What it did beside returning.
        hook_error: What the commit hook raised in a transaction that was taken back; None when
            it returned or was not tried.
        hook_ran: Whether the commit hook was tried.
    """

    number: int
    where: str
    order: Order
    value: Any = None
    error: str | None = None
    seconds: float = 0.0
    touches: Sequence[Touch] = ()
    hook_error: str | None = None
    hook_ran: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """All runs of jobs, or why there are none.

    Attributes:
        runs: The runs; empty when none was made.
        not_run: Why not, and what to do for it; "" when there are runs.
        remedy: What would let them run.
    """

    runs: Sequence[TriedRun] = ()
    not_run: str = ""
    remedy: str = ""
