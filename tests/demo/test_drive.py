"""The demo's frame: a story that fails, with and without somebody who looks on."""

from pathlib import Path

import pytest

from rollout.demo import drive as driving
from rollout.demo.drive import _tell, drive
from rollout.demo.source import SourceMissing

WHY = "the jobs ran out before the revert"


def fails() -> None:
    """A story that somebody's kill has cut short."""
    raise RuntimeError(WHY)


def test_a_story_that_fails_leaves_the_page() -> None:
    """Whoever pressed the switch to see what it does still has the page, and is told why."""
    told: list[str] = []
    _tell(fails, told.append, stay=True)
    assert told[0] == f"error: {WHY}"
    assert "the page goes on" in told[1]


def test_who_killed_it_is_told_why_the_story_ended() -> None:
    """The page invites to press the switch: what came of it is no riddle."""
    told: list[str] = []
    _tell(fails, told.append, lambda: "by ana: to see what it does", stay=True)
    assert told[1].endswith(
        "is killed by ana: to see what it does; until it is rearmed no pilot goes on"
    )


def test_without_a_page_it_ends() -> None:
    """Nobody looks on, so the command ends with its error."""
    with pytest.raises(RuntimeError, match=WHY):
        _tell(fails, print, stay=False)


def test_the_missing_package_is_named_to_the_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The extra stands in brackets, which a terminal's library takes for its own."""

    def missing(*args: object, **kwargs: object) -> None:
        raise SourceMissing("no package is installed")

    monkeypatch.setattr(driving, "_run", missing)
    assert drive(tmp_path / "demo", tmp_path / "demo.json") == 1
    assert "pip install 'celery-rollout[demo]'" in capsys.readouterr().out
