"""The two paths of the sub-pipeline `flights-load`: one job loads one day of one origin airport.

Both read the same file, use the same transform and return the same rows in the same order.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from rollout import downstream
from rollout.demo.preparation import raw_file, reference_file, staging_folder
from rollout.demo.record import Record, read_records
from rollout.demo.reference import SqlReference, in_memory
from rollout.demo.staging import staging
from rollout.demo.transform import COLUMNS, look_up, transform

# Records handed from stage to stage at once. A job has about 300, so this gives two or three
# batches: enough for an overlap; with more of them, handing over cost more than it hid.
BATCH_RECORDS = 128

# Records of one part of a day: a job of `rollout demo` loads one part.
PART_RECORDS = 70

# File in the demo's folder that says what is wrong with the concurrent path.
TROUBLE = "trouble"

# The column that `wrong` falsifies.
_PLANTED = list(COLUMNS).index("arrival_delay_min")

# How long `hang` hangs unless told: far beyond any time limit that a job is given.
HANG_S = 600.0


class ForcedCrash(Exception):
    """The demo asked this job to crash on the concurrent path."""


class UnknownFault(Exception):
    """A job names a fault that the demo does not know; correct the job."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault

    def __str__(self) -> str:
        return (
            "fault must be None, 'crash', 'hang', 'hang:SECONDS', 'wrong' or 'corrupt', "
            f"got {self.fault!r}; correct the arguments of the job"
        )


def load_record_by_record(
    folder: str, day: str, origin: str, fault: str | None = None, part: int | None = None
) -> list[list[Any]]:
    """Load one day of one origin the way it grew: one record after the other (legacy path).

    Each record costs four queries to the reference database, one insert and one commit.

    Args:
        folder: A prepared demo folder.
        day: Such as 2013-01-01.
        origin: EWR, JFK or LGA, or the name given to a corrupt copy.
        fault: Checked, but only the concurrent path acts on it.
        part: Which seventy records of the day, from 0; None is all of them.

    Returns:
        The rows, ordered by record; columns as in `transform.COLUMNS`.

    Raises:
        CorruptInput: the raw file is damaged.
        InputMissing: the folder has no such file.
        UnknownFault: the fault is none that the demo knows.
        urllib.error.URLError: a drill plays a reference service that fails.
    """
    _read_fault(fault)
    _ask_reference_service()
    with (
        closing(SqlReference(reference_file(folder))) as reference,
        staging(staging_folder(folder)) as staged,
    ):
        for record in _part(read_records(raw_file(folder, day, origin), day, origin), part):
            staged.add(transform(record, look_up(record, reference)))
        return staged.rows()


def load_overlapped(
    folder: str, day: str, origin: str, fault: str | None = None, part: int | None = None
) -> list[list[Any]]:
    """Load one day of one origin in overlapping micro-batches (concurrent path).

    While one batch is transformed, the next is read and the previous is staged, each in a thread
    that ends before this returns. Reference tables are in memory, a batch is one executemany and
    one commit. What this saves comes from the batches and the memory: the work is Python's own, and
    one process runs one thread of Python at a time, so the overlap itself hides next to nothing
    here. It would where reading or staging wait for a network.

    Args, returns and raises: as `load_record_by_record`.

    Raises:
        ForcedCrash: `fault` is "crash", or the folder's trouble is; raised after the first batch
            went to staging.
    """
    forced, seconds = _read_fault(trouble(folder) if fault is None else fault)
    _ask_reference_service()
    reference = in_memory(reference_file(folder))
    records = _part(read_records(raw_file(folder, day, origin), day, origin), part)
    with (
        staging(staging_folder(folder)) as staged,
        # Inside `staging`, so that the threads have ended before its folder is removed.
        ThreadPoolExecutor(max_workers=2, thread_name_prefix="flights-load") as pool,
    ):
        reading = pool.submit(_next_batch, records)
        writing: Future[None] | None = None
        while batch := reading.result():
            reading = pool.submit(_next_batch, records)
            rows = [transform(record, look_up(record, reference)) for record in batch]
            if writing is not None:
                # At most one batch waits for staging, and batches are staged in order.
                writing.result()
            writing = pool.submit(staged.add_batch, rows)
            _act(forced, seconds)
            forced = forced if forced == "wrong" else None  # other faults strike once
        if writing is not None:
            writing.result()
        rows = staged.rows()
    if forced == "wrong":
        for row in rows:
            row[_PLANTED] = -1
    return rows


def _part(records: Iterator[Record], part: int | None) -> Iterator[Record]:
    """The records of one part of a day."""
    if part is None:
        return records
    return islice(records, part * PART_RECORDS, (part + 1) * PART_RECORDS)


def trouble(folder: str | Path) -> str | None:
    """What is wrong with everything that the concurrent path runs on; None when nothing is.

    The demo writes a fault into this file to play a bad release or a slow service behind it.
    """
    file = Path(folder) / TROUBLE
    return file.read_text(encoding="utf-8") if file.exists() else None


def _ask_reference_service() -> None:
    """Ask the service behind the reference tables for news; the demo has one in drills only."""
    url = downstream("")
    if url:
        with urlopen(url, timeout=5) as answer:
            answer.read()


def _next_batch(records: Iterator[Record]) -> list[Record]:
    """Read and parse the next records; an empty list at the end."""
    return list(islice(records, BATCH_RECORDS))


def _read_fault(fault: str | None) -> tuple[str | None, float]:
    """Split a fault into its name and its seconds."""
    if fault in (None, "crash", "corrupt", "wrong"):
        # A corrupt input needs no help from the path: the file named by the job is damaged.
        return fault, 0.0
    name, colon, seconds = str(fault).partition(":")
    try:
        if name == "hang":
            return name, float(seconds) if colon else HANG_S
    except ValueError:
        pass
    raise UnknownFault(str(fault))


def _act(forced: str | None, seconds: float) -> None:
    """Do what the job's fault says, in the middle of the work."""
    if forced == "crash":
        raise ForcedCrash("this job was submitted with fault='crash'")
    if forced == "hang":
        _hang(seconds)


def _hang(seconds: float) -> None:
    """Do nothing for long, in naps short enough that a soft time limit gets through."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.05)
