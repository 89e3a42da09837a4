"""The demo's output in a file is not broken at eighty columns; in a terminal it fits."""

from __future__ import annotations

import pytest

from rollout.demo.screen import screen

LINE = " ".join(["revert"] * 40)


def test_a_line_in_a_file_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """A log that is searched for a sentence finds it."""
    screen().print(LINE)
    assert capsys.readouterr().out == LINE + "\n"


def test_a_terminal_has_its_own_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are broken between words there."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    screen().print(LINE)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 60
    assert len(lines) > 1
