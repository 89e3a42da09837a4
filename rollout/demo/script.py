"""What the demo's person does; everything else is decided by the controller.

A person begins shadow, plants a bug and mends it, lets the schedule run the drills that each step
asks for, makes the concurrent path slow and then broken, starts again after each revert, and pulls
the kill switch once. The controller finds the evidence, takes each step, and reverts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from secrets import choice

from rollout.control.kill_report import KillReport
from rollout.demo.app import NAME
from rollout.demo.paths import TROUBLE
from rollout.demo.policy import LADDER_BP, SHADOW_PAIRS
from rollout.demo.stream import Stream
from rollout.desk.plans import Assumed, Planned, planned
from rollout.drills.drill import Abort, Drill
from rollout.drills.fault import Fault
from rollout.drills.schedule import Schedule
from rollout.evidence.shadow import ShadowEvidence
from rollout.pilot.ports import DecisionRecord
from rollout.routing.decision import JobPath
from rollout.routing.stages import Event, Stage
from rollout.shadow.ports import MismatchGroup
from rollout.shadow.runs import evidence_of
from rollout.up.machine import Machine

ACTOR = "demo"
LEARN_S = 14.0
"""Legacy alone: its day of cycle times, and one whole span of what it can carry."""
CLIMB_PER_S = 20.0
"""Jobs a second of the last climb: more of them prove a step sooner."""
LOOK_S = 1.0
"""The schedule of drills looks this often."""
DRILL = Drill(
    name="a few jobs raise",
    sub_pipeline=NAME,
    paths=tuple(JobPath),
    fault=Fault.RAISE,
    duration_s=1.0,
    blast_radius_jobs=4,
    deadline_s=30.0,
    window_s=1.0,
    windows_before=12,
    windows_with_jobs_min=6,
    windows_inside=2,
    abort=Abort(other_path_windows=20),
)


@dataclass
class Acts:
    """The script, and what it needs at hand.

    Attributes:
        machine: Broker, ledger, workers and controller.
        stream: The jobs.
        folder: The data; trouble is written into it.
        say: Prints a line.
        deadline: The script gives up then.
    """

    machine: Machine
    stream: Stream
    folder: Path
    say: Callable[[str], None]
    deadline: float
    kill: KillReport | None = None
    killed_from: datetime | None = None
    killed_until: datetime | None = None
    planned: Planned | None = None
    groups: list[MismatchGroup] = field(default_factory=list)
    mended: ShadowEvidence = field(default_factory=ShadowEvidence)
    exposed: dict[str, int] = field(default_factory=dict)
    _told: int = 0

    def play(self) -> None:
        """Play all acts. Raises RuntimeError when one waits in vain."""
        self._wait(lambda: self.machine.runtime.control.read(NAME).supervised, "the controller")
        self.stream.start()
        self.say("legacy      carries everything, and shows what is normal")
        self._pass(LEARN_S)
        self._plan()
        self._shadow()
        self._climb(lambda: self._scope() == LADDER_BP[1], "the second step")
        self._hurt("slow", "hang:0.2", "every concurrent job takes 0.2 s longer")
        self._start_again()
        self._pass(4.0)
        self._hurt("broken", "crash", "every concurrent job crashes")
        self._start_again()
        self.stream.rate_per_s = CLIMB_PER_S
        self._kill_and_rearm()
        self._climb(lambda: self._stage() is Stage.GRADUATED, "the top of the ladder")

    def finish(self) -> None:
        """Wait until every part is submitted and every job has its outcome."""
        while not self.stream.over or self._finished() < len(self.stream.submitted):
            self.machine.processes.look_after()
            if time.monotonic() > self.deadline:
                left = len(self.stream.submitted) - self._finished()
                raise RuntimeError(f"{left} jobs have no outcome at the deadline")
            time.sleep(0.2)
        self._tell()

    def _finished(self) -> int:
        return sum(tally.jobs for tally in self.machine.runtime.ledger.tallies()[0])

    # Acts --------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Say what the trial will take, before it begins."""
        runtime = self.machine.runtime
        self.planned = planned(NAME, runtime.policies, Assumed(), runtime.ledger)
        for sentence in self.planned.sentences:
            self.say(f"plan        {sentence}")

    def _shadow(self) -> None:
        """Plant a bug, let the shadow find it, mend it, and let the controller begin the trial."""
        changes = self.machine.runtime.changes
        self._trouble("wrong")
        changes.change(NAME, Event.SHADOW, ACTOR, "compare before anything counts")
        self.say("shadow      copies of legacy jobs run on the concurrent path; a bug is planted")
        self._wait(self._bug_found, "the shadow's mismatch")
        self.groups = list(self.machine.runtime.database_ledger.shadow_account(NAME).groups)
        for group in self.groups:
            self.say(f"            {group.runs} x {group.signature}")
        self._trouble(None)
        # Playing the release that mends it: its workers would announce their version.
        self.machine.runtime.ledger.announce(NAME, JobPath.CONCURRENT, "2")
        self.say(f"mended      {SHADOW_PAIRS} pairs without a mismatch begin the first step")
        self._wait(lambda: self._stage() is Stage.SPLIT, "the first step after shadow")
        self.mended = evidence_of(self.machine.runtime.database_ledger.shadow_account(NAME))

    def _bug_found(self) -> bool:
        groups = self.machine.runtime.database_ledger.shadow_account(NAME).groups
        return any(group.runs >= 3 and "rows" in group.signature for group in groups)

    def _climb(self, there: Callable[[], bool], what: str) -> None:
        """Let the controller climb, and the schedule run each drill that it asks for."""
        runtime = self.machine.runtime
        schedule = Schedule(
            [DRILL],
            runtime.drills(None),
            runtime.ledger,
            runtime.clock,
            runtime.policies.of,
            draw=lambda: 0.0,
            coin=lambda: choice(tuple(JobPath)),
            jitter_s=0.0,
        )
        sentence = ""
        while not there():
            self._look_after(f"{what} ({sentence})")
            began = schedule.look()
            if isinstance(began, str):
                sentence = began
                self._pass(LOOK_S)
            elif began.pair_id is not None:
                times = ", ".join(f"{one.path} {one.recovery_s:.1f} s" for one in began.scores)
                self.say(f"drill       at {self._scope() / 100:g} %, healed after: {times}")
        self._tell()

    def _hurt(self, what: str, fault: str, sentence: str) -> None:
        """Break the concurrent path, and wait until the controller takes the scope back."""
        began = self.machine.runtime.clock.now()
        before = self._count("revert")
        self._trouble(fault)
        self.say(f"{what:<12}{sentence}")
        self._wait(lambda: self._count("revert") > before, f"the revert ({what})")
        reverted = self._decisions()[-1].at
        routed = self.machine.runtime.ledger.routed_since(NAME, began)
        self.exposed[what] = routed.get(JobPath.CONCURRENT, 0)
        self.say(
            f"            reverted after {(reverted - began).total_seconds():.1f} s, "
            f"{self.exposed[what]} concurrent jobs"
        )
        self._trouble(None)
        self._wait(lambda: self._count("confirm") > before, "routing to confirm the revert")

    def _start_again(self) -> None:
        self.machine.runtime.changes.change(
            NAME, Event.START, ACTOR, "mended; once more from the first step", scope_bp=LADDER_BP[0]
        )
        self.say("started     again, by a person, at the first step")

    def _kill_and_rearm(self) -> None:
        """Pull the kill switch in full flow, and lift it after a few seconds."""
        runtime = self.machine.runtime
        self._pass(3.0)
        self.kill = runtime.changes.kill(NAME, ACTOR, "the demo pulls the kill switch")
        self.killed_from = runtime.clock.now()
        self.say(
            f"kill        starts blocked in {self.kill.starts_blocked_ms or -1:.1f} ms, commits"
            f" fenced in {self.kill.commits_fenced_ms or -1:.1f} ms,"
            f" {self.kill.queued_sent_back} queued and {self.kill.running_abandoned} running"
            " jobs sent back"
        )
        self._pass(3.0)
        self.killed_until = runtime.clock.now()
        runtime.changes.rearm(NAME, ACTOR, "seen enough, the demo goes on")

    # Looking and waiting -----------------------------------------------------------------

    def _trouble(self, fault: str | None) -> None:
        file = self.folder / TROUBLE
        if fault is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(fault, encoding="utf-8")

    def _scope(self) -> int:
        return self.machine.runtime.ledger.control(NAME).scope_bp

    def _stage(self) -> Stage:
        return self.machine.runtime.ledger.control(NAME).stage

    def _decisions(self) -> list[DecisionRecord]:
        """What the controller decided, oldest first."""
        return self.machine.runtime.ledger.decisions(NAME, 1000)[::-1]

    def _count(self, action: str) -> int:
        return sum(one.action == action for one in self._decisions())

    def _pass(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._wait(lambda: time.monotonic() >= until, "time to pass")

    def _wait(self, true: Callable[[], bool], what: str) -> None:
        """Wait, telling each decision as it comes; a script that stands still fails loudly."""
        while not true():
            self._look_after(what)
            time.sleep(0.1)
        self._tell()

    def _look_after(self, what: str) -> None:
        self._tell()
        self.machine.processes.look_after()
        if time.monotonic() > self.deadline:
            raise RuntimeError(f"waited in vain for {what}; the last decision: {self._last()}")
        if self.stream.over:
            raise RuntimeError(f"the jobs ran out before {what}; the last decision: {self._last()}")

    def _last(self) -> str:
        decisions = self._decisions()
        return decisions[-1].sentence if decisions else "none was made"

    def _tell(self) -> None:
        decisions = self._decisions()
        for one in decisions[self._told :]:
            self.say(f"decided     {one.action}: {one.sentence}")
        self._told = len(decisions)
