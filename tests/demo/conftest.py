"""A few real days of the source, cut out once, so that these tests take seconds."""

import csv
import shutil
import zipfile
from pathlib import Path

import pytest

from rollout.demo.preparation import prepare
from rollout.demo.source import FLIGHTS, REFERENCE_TABLES, flight_lines, source_folder

# New Year; a snowstorm's cancellations; the two changes of the clock; a departure at 2400; the
# last day, for which the source has no weather.
DAYS = ("2013-01-01", "2013-02-08", "2013-03-10", "2013-10-30", "2013-11-03", "2013-12-31")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source folder with real records of `DAYS` only."""
    folder, real = tmp_path_factory.mktemp("source"), source_folder()
    for table in REFERENCE_TABLES:
        shutil.copy(real / f"{table}.csv", folder)
    starts = tuple(",".join(str(int(part)) for part in day.split("-")) + "," for day in DAYS)
    with flight_lines(real) as lines:
        kept = [next(lines), *(line for line in lines if line.startswith(starts))]
    with zipfile.ZipFile(folder / FLIGHTS, "w") as archive:
        archive.writestr("flights.csv", "".join(kept))
    return folder


@pytest.fixture(scope="session")
def folder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared demo folder; tests add files of their own names to it, and change none."""
    prepared = tmp_path_factory.mktemp("prepared")
    prepare(prepared, source)
    return prepared


@pytest.fixture(scope="session")
def fields(folder: Path) -> list[str]:
    """The fields of the first real record of New Year at EWR."""
    with (folder / "raw" / "2013-01-01-EWR.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))[1]
