"""XES event logs of process mining: traces of events with an activity, a time and a lifecycle."""

from __future__ import annotations

from typing import IO
from xml.etree import ElementTree

from rollout.audit.job_log import BadAudit, JobLog
from rollout.audit.reading.rows import Rows

_FIELDS = {
    "concept:name": "step",
    "time:timestamp": "ended_at",
    "lifecycle:transition": "lifecycle",
    "org:resource": "worker",
}


def read_xes(log: JobLog, name: str, opened: IO[bytes]) -> None:
    """Take in an XES file as it streams by.

    Raises:
        BadAudit: It is no well-formed XML; what came before the fault is not used.
    """
    rows = Rows(log, name, "XES event log", "event")
    number, case, depth = 0, "", 0
    try:
        for what, element in ElementTree.iterparse(opened, events=("start", "end")):
            tag = element.tag.rpartition("}")[2]
            if tag == "trace":
                depth = 1 if what == "start" else 0
                if what == "end":
                    element.clear()
                else:
                    case = f"trace {number}"
            elif tag == "event" and what == "end":
                number += 1
                values = {
                    _FIELDS[key]: one.get("value")
                    for one in element
                    if (key := one.get("key", "")) in _FIELDS
                }
                rows.take(number, {"run_id": case, **values})
                element.clear()
            elif (
                depth
                and what == "start"
                and element.get("key") == "concept:name"
                and case.startswith("trace ")
            ):
                case = element.get("value", case)
                depth = 0
    except ElementTree.ParseError as error:
        raise BadAudit(f"{name} must be well-formed XML, got: {error}", "export it again") from None
    rows.finish()
