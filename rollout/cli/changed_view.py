"""What is now true after a change, for people."""

from typing import TYPE_CHECKING

import typer

from rollout.cli.exit_codes import ExitCode
from rollout.cli.output import percent, warn
from rollout.routing.stages import BP_ALL, ControlState, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout.control.change import Changed
    from rollout.routing.rule import Reading


def sentence(state: ControlState) -> str:
    """What is now true, in a sentence."""
    flags = [
        word for word, is_set in (("KILLED", state.killed), ("FROZEN", state.frozen)) if is_set
    ]
    stage = ", ".join([f"stage {state.stage}", *flags])
    share = f"scope {percent(state.scope_bp)} ({state.scope_bp} of {BP_ALL} bp)"
    effect = ""
    if state.killed:
        effect = "; every job runs on legacy until it is rearmed"
    elif state.stage is Stage.LEGACY:
        effect = "; every job runs on legacy"
    elif state.stage is Stage.SHADOW:
        effect = "; every job runs on legacy, and copies are compared in the shadow"
    return f"{state.name}: {stage}, {share}, revision {state.revision}{effect}"


def close(changed: "list[Changed]", gates: "Mapping[str, Reading] | None" = None) -> None:
    """Warn about what the store does not say yet, and exit by it.

    Args:
        changed: Changes that are in force in the ledger.
        gates: After a rearm, what a start would get.
    """
    lagging = [one for one in changed if one.not_projected is not None]
    for one in lagging:
        warn(
            f"the ledger holds this change of {one.state.name!r}, the control store not yet: "
            f"{one.not_projected}. The controller's next tick writes it; until then starts follow "
            "what the store holds, and go to legacy when it cannot be read"
        )
    latched = [name for name, gate in (gates or {}).items() if gate.killed or gate.killed_all]
    for name in latched:
        warn(
            f"another kill of {name!r} is latched in the control store, so jobs stay on legacy; "
            "the controller's next tick writes it into the ledger, then rearm again"
        )
    if lagging or latched:
        raise typer.Exit(ExitCode.PARTLY)
