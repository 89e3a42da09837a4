"""The embedded Valkey, as a process of its own."""

import socket
import subprocess
from pathlib import Path

from rollout.up.commands import valkey_spec
from rollout.up.machine import not_embedded
from tests.ports import free_port
from tests.waiting import wait_until


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_it_starts_in_a_folder_whose_name_has_a_space(tmp_path: Path) -> None:
    """Its configuration names the folder without quotes, so the folder must not be named there."""
    folder, port = tmp_path / "ana's wäre, neu" / "valkey", free_port()
    folder.mkdir(parents=True)
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            valkey_spec(port, str(folder)).command, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: _answers(port) or process.poll() is not None, "the server answers", 30)
        assert _answers(port), log.read_text()
    finally:
        process.terminate()
        process.wait(10)
    assert (folder / "appendonlydir").is_dir()


def test_what_to_do_depends_on_whether_it_is_installed() -> None:
    """Whoever has the package is not told to install it."""
    assert "pip install" not in not_embedded(6379, "no memory").hint
