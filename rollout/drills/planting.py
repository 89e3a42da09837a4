"""May a sub-pipeline be drilled now, by what its state and its effects say?"""

from rollout.drills.errors import DrillRefused
from rollout.drills.fault import Fault
from rollout.jobs.ports import Ledger
from rollout.routing.decision import JobPath
from rollout.routing.ports import ControlStore
from rollout.routing.rule import why_closed
from rollout.routing.stages import BP_ALL


def may_plant(
    ledger: Ledger, control: ControlStore, name: str, path: JobPath, fault: Fault | None
) -> None:
    """Check everything that does not need the traffic.

    Raises:
        DrillRefused, UnknownSubPipeline: It may not be drilled now.
    """
    state = ledger.control(name)
    reading = control.read(name)
    if state.killed or reading.killed or reading.killed_all:
        raise DrillRefused(name, "it is killed", f"rearm {name!r} first")
    if state.frozen:
        raise DrillRefused(name, "it is frozen", f"unfreeze {name!r} first")
    repeats = fault is not None and not fault.repeats_no_effect
    if repeats and not ledger.effects(name).repeatable:
        raise DrillRefused(
            name,
            f"its effects are 'unsafe' and {str(fault)!r} would repeat them",
            "only 'delay', 'store_cut' and 'way_back' leave an unsafe job's effects alone",
        )
    if path is JobPath.CONCURRENT:
        closed = why_closed(reading)
        if closed is not None or state.scope_bp == 0:
            raise DrillRefused(
                name,
                f"no job runs on the concurrent path ({closed or 'its scope is 0'})",
                f"`rollout status {name}` shows its stage; drill the legacy path, or start it",
            )
    elif state.scope_bp == BP_ALL:
        raise DrillRefused(
            name, "no job is routed to legacy", "keep a holdback, or drill the other path"
        )
