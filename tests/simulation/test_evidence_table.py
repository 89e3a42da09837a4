"""The quick part of the evidence table comes out; `make evidence` measures all of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.evidence.__main__ import full, main


def test_quick_table_comes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m ops.evidence --quick` accepts every row it prints and writes."""
    out = tmp_path / "evidence.json"
    code = main(["--quick", "--out", str(out)])
    printed = capsys.readouterr().out
    rows = json.loads(out.read_text())["rows"]
    assert [row["id"] for row in rows if not row["ok"]] == [], printed
    assert [row["id"] for row in rows] == ["D1", "C1", "K1", "S1", "M1", "M2", "M6", "M15", "M16"]
    assert code == 0


def test_a_report_can_be_measured_in_pieces(tmp_path: Path) -> None:
    """With `--only` the rows of an earlier run stay, in the order of the table."""
    out = tmp_path / "evidence.json"
    for ids in (["M16"], ["M1", "M2"], ["M16"]):
        assert main(["--quick", "--only", *ids, "--out", str(out)]) == 0
    assert [row["id"] for row in json.loads(out.read_text())["rows"]] == ["M1", "M2", "M16"]


def test_every_id_of_the_method_is_measured() -> None:
    """The full table has a row for each id of the docs."""
    methods = "F1 F2 F3 F4 F5 F6 D1 D2 D3 D4 D5 D6 D7 F7 D8 D9 D10 C1 K1 S1 S2 S3"
    budget = " ".join(f"M{number}" for number in range(1, 17))
    assert " ".join(full()) == f"{methods} {budget} R1 R2 R3"
