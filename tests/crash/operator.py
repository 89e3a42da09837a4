"""A person with the switch: double, scope, revert, kill, rearm at random moments, until stopped.

Two of these run at once, so that their actions meet.
"""

import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from rollout.control.kill_report import Heard, KillReport
from rollout.errors import IllegalTransition, RolloutError
from rollout.routing.stages import Event
from tests.crash.app import NAMES, history, runtime

_CALM_BP = 8000
WEIGHTS = {"parts": 6, "notes": 2, "asks": 1, "wires": 1, "turns": 1, "shares": 1}
"""How often each of the sub-pipelines is meddled with."""
_PAUSE_S = (0.5, 3.5)


class Operator:
    """One person; `rng` draws what is done and when."""

    def __init__(self, who: str, rng: random.Random) -> None:
        self._who = who
        self._rng = rng

    def act(self) -> None:
        """Do one thing to one sub-pipeline."""
        name = self._rng.choices(NAMES, [WEIGHTS[name] for name in NAMES])[0]
        dice = self._rng.random()
        if dice < 0.15:
            self.kill(name if self._rng.random() < 0.8 else None)
            time.sleep(self._rng.uniform(0.1, 1.0))
        elif dice < 0.30:
            self._change(name, Event.DOUBLE)
        elif dice < 0.36:
            self._change(name, Event.REVERT)
        elif dice < 0.46:
            self._change(name, Event.SCOPE, self._rng.choice((0, 200, 3000, 9500)))
        else:
            self._open(name)

    def _open(self, name: str) -> None:
        """Have most jobs on the concurrent path again, so that there is something to hurt."""
        self._rearm(None)
        self._rearm(name)
        self._change(name, Event.START)
        self._change(name, Event.SCOPE, _CALM_BP)

    def kill(self, name: str | None) -> None:
        """Kill, and say what was answered when, and how long we waited for a processor."""
        before = run_delay_ns()

        def say(what: str, report: KillReport, **facts: Any) -> None:
            delay = run_delay_ns()
            late = None if before is None or delay is None else delay - before
            missing = [half for half, error in _halves(report) if error]
            history.write(what, name=name, late=late, missing=missing, **facts)

        history.write("kill asked", name=name)
        heard = Heard(
            waiting=lambda report, who: say("kill said", report, waits=who[:200]),
            holds=lambda report: say("kill said", report, holds=report.holds),
        )
        report = runtime.changes.kill(name, self._who, "drawn by the seed", heard=heard)
        say(
            "kill acknowledged", report, names=report.names, kill_id=report.kill.kill_id,
            complete=report.complete, sent_back=report.queued_sent_back,
            abandoned=report.running_abandoned,
        )  # fmt: skip

    def _rearm(self, name: str | None) -> None:
        history.write("rearm asked", name=name)
        try:
            done = runtime.changes.rearm(name, self._who, "drawn by the seed")
        except IllegalTransition as error:  # certain: nothing was lifted
            history.write("rearm ended", name=name, refused=True, why=str(error)[:200])
        except RolloutError as error:  # the answer is lost, the rearm may be in force
            history.write("rearm ended", name=name, refused=False, why=str(error)[:200])
        else:
            lifted = {one.state.name: one.state.lifted_kill_id for one in done}
            history.write("rearm ended", name=name, refused=False, lifted=lifted)

    def _change(self, name: str, event: Event, scope_bp: int | None = None) -> None:
        history.write("change asked", name=name, event=event, scope_bp=scope_bp)
        try:
            done = runtime.changes.change(name, event, self._who, "drawn", scope_bp=scope_bp)
        except RolloutError as error:
            history.write("change refused", name=name, event=event, why=str(error)[:200])
        else:
            history.write(
                "changed", name=name, event=event, revision=done.state.revision,
                scope_bp=done.state.scope_bp,
            )  # fmt: skip

    def open_all(self) -> None:
        """Begin with open scopes."""
        for name in NAMES:
            self._open(name)


def run_delay_ns() -> int | None:
    """How long the main thread has waited for a processor, by Linux; None where it does not say."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _halves(report: KillReport) -> tuple[tuple[str, str | None], ...]:
    """The two halves of a kill, each with what keeps it."""
    return ("starts", report.store_error), ("commits", report.ledger_error)


def main(who: str, seed: int, seconds_max: float) -> None:
    """Act until stopped, or for `seconds_max` at most."""
    rng = random.Random(f"{seed} {who}")
    operator = Operator(who, rng)
    operator.open_all()
    deadline = time.monotonic() + seconds_max
    flag = Path(os.environ["CRASH_FLAGS"]) / f"kill-{who}"
    while time.monotonic() < deadline:
        try:
            if flag.exists():
                flag.unlink()
                operator.kill("parts")
            operator.act()
        except RolloutError as error:  # a server is away: the person tries something later
            history.write("operator failed", why=str(error)[:300])
        time.sleep(rng.uniform(*_PAUSE_S))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
