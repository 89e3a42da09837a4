"""The controller's loop, and people with the command line."""

from collections.abc import Callable

from rollout.control.change import Changes
from rollout.control.recall import Recall
from rollout.controller.tick import Tick
from rollout.errors import RolloutError
from rollout.pilot.pilots import Pilots
from rollout.pilot.situations import Situations
from rollout.policy.ladder import FirstSteps
from rollout.policy.policy import Policies
from rollout.routing.stages import Event
from tests.simulation.history import label
from tests.simulation.limits import LEASE, LIMITS, SLICE, TICK_S
from tests.simulation.process import Process
from tests.simulation.watched import Tell


class Controller:
    """One controller process; `owner` names this run of it in the lease, as its pid would."""

    def __init__(self, process: Process, tell: Tell, policies: Policies, owner: str) -> None:
        self.process = process
        self.owner = owner
        self._tell = tell
        ledger, store, broker = process.ledger, process.store, process.broker
        changes = Changes(ledger, store, broker, process.clock, FirstSteps(lambda: policies))
        changes.recall = Recall(ledger, broker, process.clock, SLICE)
        pilots = Pilots(
            process.trials,
            Situations(process.trials),
            policies,
            changes.project,
            True,
            owner,
            LEASE,
        )
        self._tick = Tick(ledger, store, broker, changes, process.clock, LIMITS, owner, pilots)
        process.spawn(self._loop)

    def _loop(self) -> None:
        while True:
            report = self._tick.turn()
            if report.errors or report.recalled or report.resent_lost or report.resent_silent:
                self._tell(
                    "tick", recalled=report.recalled, lost=report.resent_lost,
                    silent=report.resent_silent, errors=len(report.errors),
                )  # fmt: skip
            self.process.scheduler.pause(TICK_S)


class Operator:
    """One command of a person on call; the process ends with it."""

    def __init__(self, process: Process, tell: Tell, policies: Policies) -> None:
        self.process = process
        self._tell = tell
        self._changes = Changes(
            process.ledger,
            process.store,
            process.broker,
            process.clock,
            FirstSteps(lambda: policies),
        )

    def change(self, name: str, event: Event, scope_bp: int | None, *, seen: bool) -> None:
        """Give a change; with `seen`, only on the revision that was read before."""

        def act() -> None:
            revision = self.process.ledger.control(name).revision if seen else None
            self._changes.change(
                name, event, self.process.who, "why", scope_bp=scope_bp, seen_revision=revision
            )

        self._do(f"{event} {name}", act)

    def kill(self, name: str | None) -> None:
        """Pull the kill switch."""

        def act() -> None:
            self._tell("kill asked", name=name)
            report = self._changes.kill(name, self.process.who, "why")
            self._tell(
                "kill acknowledged", name=name, kill=report.kill.kill_id, complete=report.complete
            )

        self._do(f"kill {name or 'all'}", act)

    def rearm(self, name: str | None) -> None:
        """Lift the kill switch."""

        def act() -> None:
            self._tell("rearm asked", name=name)
            self._changes.rearm(name, self.process.who, "why")

        self._do(f"rearm {name or 'all'}", act)

    def retry_failed(self, name: str) -> None:
        """Send the newest kept failures again."""

        def act() -> None:
            for record in self.process.ledger.failed(name, 2):
                self._tell("retry asked", job=label(*record.ref))
                self._changes.retry(record.job_id)

        self._do(f"retry {name}", act)

    def _do(self, what: str, act: Callable[[], None]) -> None:
        try:
            act()
        except RolloutError as error:
            self._tell("refused", command=what, error=type(error).__name__)
