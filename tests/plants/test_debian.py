"""A machine on which apt installs nothing fails the suite, and says what is missing."""

import os
from pathlib import Path

import pytest

from tests.plants import debian


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A server that is not there, and a folder that is all of PATH."""
    monkeypatch.setattr(debian, "PACKAGES", {"/absent/server": "some-server"})
    monkeypatch.setattr(debian, "NO_SERVICE", tmp_path / "policy-rc.d")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_what_apt_refuses_is_told_in_its_words(missing: Path) -> None:
    """The package and apt's own line; and nothing is left that keeps services from starting."""
    apt = missing / "apt-get"
    apt.write_text("#!/bin/sh\necho 'E: Unable to locate package some-server' >&2\nexit 100\n")
    apt.chmod(0o755)
    with pytest.raises(RuntimeError, match=r"could not install some-server: .*Unable to locate"):
        debian.install()
    assert not debian.NO_SERVICE.exists()


def test_a_machine_without_apt_says_so(missing: Path) -> None:
    """Another system's package manager has to be used by hand."""
    with pytest.raises(RuntimeError, match=r"could not install some-server: .*apt-get"):
        debian.install()


def test_who_is_not_root_is_told_what_to_run(
    missing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one line for root."""
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(RuntimeError, match="as root: apt-get install some-server"):
        debian.install()
