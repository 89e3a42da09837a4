"""The watch on recorded series that nobody here made, and on none that cannot be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.incidents import nab
from ops.incidents.__main__ import main
from ops.incidents.flights import all_series
from ops.incidents.series import Score, scored

PAGE = Path(__file__).parents[2] / "docs" / "incidents.md"
AIRPORTS = ("EWR", "JFK", "LGA")


@pytest.fixture(scope="module")
def scores() -> dict[str, Score]:
    """A year of flights, watched once; about ten seconds."""
    return {series.name: scored(series)[0] for series in all_series()}


@pytest.mark.parametrize("airport", AIRPORTS)
def test_days_of_mass_cancellation_are_found(scores: dict[str, Score], airport: str) -> None:
    """All of 24, 11 and 27 such days; shifted by some weeks the incidents would meet a quarter."""
    score = scores[f"{airport}, days with a tenth cancelled"]
    assert score.found >= score.labels - 1
    assert score.by_chance <= 0.4 * score.labels


@pytest.mark.parametrize(("airport", "most"), [("EWR", 72), ("JFK", 48), ("LGA", 60)])
def test_incidents_are_trouble_and_end(scores: dict[str, Score], airport: str, most: int) -> None:
    """63, 39 and 55 in a year; jobs fail 15 to 25 times as often in them as outside."""
    score = scores[f"{airport}, days with a tenth cancelled"]
    assert score.incidents <= most
    assert score.given_up == 0
    assert score.failed_inside >= 12 * score.failed_outside
    assert score.to_detect_h is not None
    assert score.to_detect_h <= 5


@pytest.mark.parametrize("airport", AIRPORTS)
def test_storms_are_found_far_more_often_than_by_chance(
    scores: dict[str, Score], airport: str
) -> None:
    """By the weather stations' word, which the watch never sees: 2.9 to 3.8 times as often."""
    score = scores[f"{airport}, storms"]
    assert score.found >= 2.5 * score.by_chance
    assert score.found >= 0.28 * score.labels


def test_the_page_shows_what_is_measured(scores: dict[str, Score]) -> None:
    """Every line of the table in docs/incidents.md is what `python -m ops.incidents` prints."""
    page = PAGE.read_text()
    missing = [line for score in scores.values() if (line := score.render()) not in page]
    assert missing == []


def nab_like(folder: Path, values: dict[str, list[float]], labels: dict[str, object]) -> Path:
    """A folder in the form of NAB, with five minutes between values."""
    start = datetime(2014, 1, 1, tzinfo=UTC)
    for name, series in values.items():
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        times = [start + number * timedelta(minutes=5) for number in range(len(series))]
        lines = [f"{at:%Y-%m-%d %H:%M:%S},{value}" for at, value in zip(times, series, strict=True)]
        path.write_text("\n".join(["timestamp,value", *lines]) + "\n")
    (folder / "labels").mkdir()
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(labels))
    return folder


def test_a_checkout_of_nab_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its real series, with the labelled windows; what fell below zero cannot be a time."""
    latency = [50.0 + number % 7 for number in range(600)]
    latency[450:470] = [400.0] * 20
    folder = nab_like(
        tmp_path,
        {"realKnownCause/latency.csv": latency, "realKnownCause/celsius.csv": [-1.0, 2.0]},
        {
            "realKnownCause/latency.csv": [
                ["2014-01-02 13:00:00.000000", "2014-01-02 15:00:00.000000"],
                ["2014-01-02 20:00:00.000000", "2014-01-02 21:00:00.000000"],
            ],
            "realKnownCause/celsius.csv": [],
            "artificialNoAnomaly/flat.csv": [],
        },
    )
    out = tmp_path / "incidents.json"
    assert main(["--nab", str(folder), "--list", "--out", str(out)]) == 0
    (series,) = json.loads(out.read_text())["series"]
    assert (series["labels"], series["found"], series["incidents"]) == (2, 1, 1)
    assert series["excursions"][0]["onset_at"] == "2014-01-02T13:25:00+00:00"
    assert "The p95 cycle time was 1e+03 s" in capsys.readouterr().out


def test_another_folder_is_no_nab(tmp_path: Path) -> None:
    """The error says what was expected and what is missing."""
    with pytest.raises(nab.NotNab, match="must be a checkout of NAB"):
        list(nab.all_series(tmp_path))
