"""A drill through page or API: foreseen, begun and ended by the same steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout.control.access import Caller
from rollout.drills.drill import Drill, read_drill
from rollout.drills.errors import BadDrill
from rollout.web.problems import BadRequest
from rollout.web.site import READ_S, Site


def declared_drill(name: str, values: Mapping[str, Any]) -> Drill:
    """Read a declaration; its sub-pipeline is the address's. Raises BadRequest."""
    if values.get("sub_pipeline", name) != name:
        raise BadRequest(
            f"the drill must be of {name!r}, as in the address, got "
            f"{str(values['sub_pipeline'])[:100]!r}",
            "leave sub_pipeline out",
        )
    try:
        return read_drill({**values, "sub_pipeline": name})
    except BadDrill as error:
        raise BadRequest(error.problem, error.hint) from error


def foresee(site: Site, drill: Drill) -> str:
    """What the drill would do, in a sentence; nothing is begun.

    Raises:
        DrillRefused, UnknownSubPipeline: It may not run now.
        LedgerUnreachable, ControlStoreUnreachable: That cannot be said now.
    """
    with site.runtime.reads_within(READ_S):
        site.runtime.drills(None).foresee(drill)
    return drill.sentence


def begin(site: Site, caller: Caller, drill: Drill, reason: str) -> str:
    """Begin it; returns its id once its first line is in the journal.

    Raises:
        NotPermittedHere, DrillRefused, UnknownSubPipeline, TooMany: Nothing was begun.
        LedgerUnreachable, ControlStoreUnreachable: Nothing was begun.
    """
    try:
        return site.door.drill(
            caller, drill.sub_pipeline, drill.sentence,
            lambda: site.drilling.begin(drill, caller), reason,
        )  # fmt: skip
    finally:
        site.shared.forget()


def end(site: Site, caller: Caller, name: str, reason: str) -> bool:
    """Take a planted fault away, whoever planted it; whether there was one.

    Raises:
        NotPermittedHere, UnknownSubPipeline: Nothing was changed.
        LedgerUnreachable, ControlStoreUnreachable: Nothing was changed.
    """
    try:
        stopped = site.door.drill(
            caller, name, "a planted fault is taken away",
            lambda: site.runtime.drills(None).stop(name), reason, action="end-drill",
        )  # fmt: skip
    finally:
        site.shared.forget()
    return bool(stopped)
