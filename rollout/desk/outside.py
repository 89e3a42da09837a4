"""What the desk's health asks of everything outside; `adapters/outside.py` answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rollout.desk.running_drills import RunningDrill
from rollout.desk.workers import Hanging
from rollout.jobs.ports import OpenCount
from rollout.policy.policy import Policies
from rollout.routing.decision import JobPath
from rollout.routing.rule import Reading
from rollout.routing.stages import ControlState


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is taken to be, without password; `source` None when it is assumed."""

    broker: str
    source: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """A server that answered: its address without password, and how long that took."""

    url: str
    took_ms: float


@dataclass(frozen=True, slots=True)
class LedgerAnswered(Answered):
    """A ledger that answered; `migration` None where it has no tables.

    `sessions` says what stands between, where anything does, and `named` where its tables are when
    they are not where and called as usual. `elsewhere` are schemas of the database that hold a
    ledger which these settings do not name; `refused` is what this user may not do, a phrase each.
    """

    migration: str | None
    newest: str
    sessions: str = ""
    named: str = ""
    elsewhere: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreAnswered(Answered):
    """A control store that answered; `forgets` is a setting by which it may drop a kill latch.

    `hidden` says that its user may not ask for that setting, `cluster` that it is a cluster's node.
    """

    forgets: str | None
    hidden: bool = False
    cluster: bool = False


@dataclass(frozen=True, slots=True)
class BrokerAnswered(Answered):
    """A broker that answered.

    Attributes:
        blocked: Why it takes no messages, and what to do; None when it does.
        refused: The rights that this user lacks there.
    """

    blocked: str | None = None
    refused: Sequence[str] = ()


class Outside(Protocol):
    """What is outside, as it is configured. Each raises the error of what is wrong or away."""

    def settings(self) -> Mapping[str, Any]:
        """Every setting in force, passwords hidden. Raises WrongSettings."""
        ...

    def known_settings(self) -> Iterable[str]:
        """The names of all settings; never raises."""
        ...

    def address(self) -> Address:
        """Where the broker is. Raises WrongSettings when the app cannot be imported."""
        ...

    def ledger(self) -> LedgerAnswered:
        """Ask the ledger for its migration."""
        ...

    def store(self) -> StoreAnswered:
        """Ask the control store."""
        ...

    def broker(self) -> BrokerAnswered:
        """Ask the broker, and whether it takes messages."""
        ...

    def reading(self, name: str) -> Reading:
        """What a start of this sub-pipeline would read."""
        ...

    def readings(self, names: Sequence[str]) -> Mapping[str, Reading]:
        """The same of many at once."""
        ...

    def opted_out(self) -> Mapping[str, int]:
        """Finished jobs that named a queue of their own, by sub-pipeline."""
        ...

    def controls(self) -> list[ControlState]:
        """All control rows of the ledger."""
        ...

    def listeners(self) -> Mapping[str, Sequence[str]] | None:
        """Workers by the queue they listen on; None where jobs run in this process."""
        ...

    def open_counts(self) -> list[OpenCount]:
        """Unfinished jobs."""
        ...

    def hanging(self) -> Sequence[Hanging]:
        """Processes that run what was taken from them."""
        ...

    def drills(self) -> Sequence[RunningDrill]:
        """Drills that run now."""
        ...

    def builds_running(self) -> list[tuple[str, JobPath, str]]:
        """Builds that workers run beside another one of the same path, the older one first."""
        ...

    def policies(self) -> Policies:
        """The policies of the file. Raises WrongPolicy."""
        ...

    def policy_difference(self) -> str | None:
        """Where the leader judges by another policy than the file's; None when it does not."""
        ...

    @property
    def supervision_s(self) -> float:
        """Seconds after which a controller that says nothing is taken for dead."""
        ...

    @property
    def one_machine(self) -> bool:
        """Whether the ledger is one that serves one machine."""
        ...

    def has_embedded_server(self) -> bool:
        """Whether a Valkey can be started without one being given."""
        ...
