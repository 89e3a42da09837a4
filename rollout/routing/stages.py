"""The stage table: which events may happen to a sub-pipeline, and what they change.

One row per event, with one sentence; `docs/architecture.md` shows the same table and a test
compares the two. Nothing else in the program changes a stage.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from rollout.errors import IllegalTransition, NotShadowable, ScopeOutOfRange, StaleRevision
from rollout.routing.effects import Effects

BP_ALL = 10_000
FIRST_STEP_BP = 100
"""A start or a doubling from 0 that names no scope; `control.change` asks the policy for one."""
HOLDBACK_BP = 500
LAST_STEP_BP = 9_000
"""From here on a trial may graduate. A last step under the largest scope halves the harm of a fault
that only it shows, and costs no time."""
ALL = "*"
"""Name of the row that holds the latch of `kill --all`; no sub-pipeline may be called so."""


class Stage(StrEnum):
    """How far a sub-pipeline has moved."""

    LEGACY = "legacy"
    """Every job runs on the legacy path."""
    SHADOW = "shadow"
    """Every job runs on legacy; copies are compared on the concurrent path."""
    SPLIT = "split"
    """The scope's share of jobs runs on the concurrent path."""
    GRADUATED = "graduated"
    """All but the holdback run on the concurrent path, for good."""


class Event(StrEnum):
    """What a person or the controller can do to a sub-pipeline."""

    SHADOW = "shadow"
    START = "start"
    SCOPE = "scope"
    DOUBLE = "double"
    GRADUATE = "graduate"
    REVERT = "revert"
    KILL = "kill"
    REARM = "rearm"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"


@dataclass(frozen=True, slots=True)
class ControlState:
    """All that routing and fencing need to know of one sub-pipeline.

    `scope_bp` and `holdback_bp` are basis points of jobs, 0..10_000. `revision` grows by one
    with each change; `fence_revision` is the revision of the last kill, and a concurrent attempt
    claimed before it can never commit. `kill_id` names the latched kill, `lifted_kill_id` the
    last one that was rearmed, so that a late copy of it is recognised.
    """

    name: str
    stage: Stage = Stage.LEGACY
    scope_bp: int = 0
    holdback_bp: int = HOLDBACK_BP
    killed: bool = False
    frozen: bool = False
    revision: int = 0
    fence_revision: int = 0
    salt: str = ""
    kill_id: str | None = None
    lifted_kill_id: str | None = None

    @property
    def scope_bp_max(self) -> int:
        """Largest scope the holdback leaves room for, in basis points."""
        return BP_ALL - self.holdback_bp

    @property
    def last_step_bp(self) -> int:
        """Least scope that may graduate, in basis points."""
        return min(LAST_STEP_BP, self.scope_bp_max)

    @property
    def doubled_bp(self) -> int:
        """Scope after DOUBLE, in basis points: never past what the holdback leaves."""
        return min(max(2 * self.scope_bp, FIRST_STEP_BP), self.scope_bp_max)


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the stage table; `to` None keeps the stage."""

    event: Event
    stages: frozenset[Stage]
    to: Stage | None
    grows: bool
    sentence: str


_ANY = frozenset(Stage)
_MOVED = frozenset({Stage.SHADOW, Stage.SPLIT, Stage.GRADUATED})

TRANSITIONS: tuple[Transition, ...] = (
    Transition(
        Event.SHADOW,
        frozenset({Stage.LEGACY}),
        Stage.SHADOW,
        True,
        "Copies of legacy jobs begin to run on the concurrent path, compared and never committed.",
    ),
    Transition(
        Event.START,
        frozenset({Stage.LEGACY, Stage.SHADOW}),
        Stage.SPLIT,
        True,
        "The first step's share of jobs begins to run on the concurrent path.",
    ),
    Transition(
        Event.SCOPE,
        frozenset({Stage.SPLIT, Stage.GRADUATED}),
        Stage.SPLIT,
        True,
        "The scope is set by hand; setting it lower is allowed while frozen or killed.",
    ),
    Transition(
        Event.DOUBLE,
        frozenset({Stage.SPLIT}),
        Stage.SPLIT,
        True,
        "The scope doubles, never past what the holdback leaves.",
    ),
    Transition(
        Event.GRADUATE,
        frozenset({Stage.SPLIT}),
        Stage.GRADUATED,
        True,
        "The pilot ends well: the scope becomes its largest, only the holdback stays on legacy.",
    ),
    Transition(
        Event.REVERT,
        _MOVED,
        Stage.LEGACY,
        False,
        "Every job goes to legacy until a person starts again; running jobs may finish.",
    ),
    Transition(
        Event.KILL,
        _ANY,
        None,
        False,
        "Every job goes to legacy now and no running concurrent attempt can commit; latched.",
    ),
    Transition(
        Event.REARM,
        _ANY,
        None,
        False,
        "The kill's latch is lifted and the stage and scope it covered are in force again.",
    ),
    Transition(
        Event.FREEZE,
        _ANY,
        None,
        False,
        "The scope may not grow; it may shrink.",
    ),
    Transition(
        Event.UNFREEZE,
        _ANY,
        None,
        False,
        "The scope may grow again.",
    ),
)

_BY_EVENT = {row.event: row for row in TRANSITIONS}


def apply(
    state: ControlState,
    event: Event,
    *,
    scope_bp: int | None = None,
    kill_id: str | None = None,
    seen_revision: int | None = None,
    effects: Effects | None = None,
) -> ControlState:
    """Give the control state after an event.

    Pure: the same input gives the same answer.

    Args:
        state: Current state.
        event: What happens.
        scope_bp: New scope in basis points, for SCOPE; the first step, for START.
        kill_id: Name of this kill; for KILL only.
        seen_revision: Revision the actor decided on; None skips the comparison.
        effects: What the paths do to the world; for SHADOW, which is refused without it.

    Returns:
        The next state, its revision one higher.

    Raises:
        StaleRevision: `seen_revision` is not the current one.
        IllegalTransition: The table does not allow the event here.
        ScopeOutOfRange: `scope_bp` is not 0..10_000 less the holdback.
        NotShadowable: Copies of its jobs would touch the world beside the real ones.
    """
    if seen_revision is not None and seen_revision != state.revision:
        raise StaleRevision(state.name, state.revision, seen_revision)
    row = _BY_EVENT[event]
    if state.stage not in row.stages:
        _refuse_stage(state, row)
    if event is Event.SHADOW and (effects is None or not effects.shadowable):
        raise NotShadowable(state.name, "unknown" if effects is None else str(effects))
    scope = _scope_after(state, event, scope_bp)
    if row.grows and (scope > state.scope_bp or event is not Event.SCOPE):
        _refuse_growth(state, event)
    revision = state.revision + 1
    after = replace(state, stage=row.to or state.stage, scope_bp=scope, revision=revision)
    return _flags_after(after, event, kill_id)


def _scope_after(state: ControlState, event: Event, scope_bp: int | None) -> int:
    match event:
        case Event.SCOPE:
            if type(scope_bp) is not int or not 0 <= scope_bp <= state.scope_bp_max:
                raise ScopeOutOfRange(scope_bp, state.scope_bp_max)
            return scope_bp
        case Event.START:
            if scope_bp is not None and not 0 < scope_bp <= BP_ALL:
                raise ScopeOutOfRange(scope_bp, state.scope_bp_max)
            first = FIRST_STEP_BP if scope_bp is None else scope_bp
            return min(first, state.scope_bp_max)
        case Event.DOUBLE:
            if state.scope_bp >= state.scope_bp_max:
                raise IllegalTransition(
                    state.name,
                    event,
                    f"at its largest scope of {state.scope_bp_max}",
                    f"`rollout graduate {state.name}` ends the pilot",
                )
            return state.doubled_bp
        case Event.GRADUATE:
            if state.scope_bp < state.last_step_bp:
                raise IllegalTransition(
                    state.name,
                    event,
                    f"at scope {state.scope_bp}",
                    f"let it grow to {state.last_step_bp} first",
                )
            return state.scope_bp_max
        case Event.REVERT | Event.SHADOW:
            return 0
        case _:
            return state.scope_bp


def _flags_after(state: ControlState, event: Event, kill_id: str | None) -> ControlState:
    match event:
        case Event.KILL:
            return replace(state, killed=True, fence_revision=state.revision, kill_id=kill_id)
        case Event.REARM:
            if not state.killed:
                raise IllegalTransition(
                    state.name, event, "while it is not killed", "there is nothing to rearm"
                )
            return replace(state, killed=False, kill_id=None, lifted_kill_id=state.kill_id)
        case Event.FREEZE:
            return replace(state, frozen=True)
        case Event.UNFREEZE:
            return replace(state, frozen=False)
        case _:
            return state


def _refuse_growth(state: ControlState, event: Event) -> None:
    if state.killed:
        raise IllegalTransition(state.name, event, "while killed", f"rearm {state.name!r} first")
    if state.frozen:
        raise IllegalTransition(state.name, event, "while frozen", f"unfreeze {state.name!r} first")


def _refuse_stage(state: ControlState, row: Transition) -> None:
    expected = " or ".join(sorted(row.stages))
    hint = f"it must be in stage {expected}"
    if state.stage is Stage.LEGACY and row.event is not Event.REVERT:
        hint = f"`rollout start {state.name}` first"
    raise IllegalTransition(state.name, row.event, f"in stage {state.stage}", hint)
