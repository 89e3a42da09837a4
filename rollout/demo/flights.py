"""The data side of the demo's sub-pipeline `flights-load`: its public names in one place.

`prepare` makes the input, `load_record_by_record` and `load_overlapped` are the two paths,
`write` is the commit hook, `reference_load` and `compare` prove the outcome.
"""

from rollout.demo.comparison import Comparison, compare, reference_load
from rollout.demo.paths import (
    ForcedCrash,
    UnknownFault,
    load_overlapped,
    load_record_by_record,
)
from rollout.demo.preparation import corrupt_copy, jobs, prepare
from rollout.demo.record import CorruptInput, InputMissing
from rollout.demo.source import SourceMissing
from rollout.demo.transform import COLUMNS
from rollout.demo.warehouse import create, insert_rows, warehouse_flight, write

__all__ = [
    "COLUMNS",
    "Comparison",
    "CorruptInput",
    "ForcedCrash",
    "InputMissing",
    "SourceMissing",
    "UnknownFault",
    "compare",
    "corrupt_copy",
    "create",
    "insert_rows",
    "jobs",
    "load_overlapped",
    "load_record_by_record",
    "prepare",
    "reference_load",
    "warehouse_flight",
    "write",
]
