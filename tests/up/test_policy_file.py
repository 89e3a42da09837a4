"""The controller says in its log that the policy file is not what it judges by."""

from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from rollout.policies import read_policies
from rollout.up import policy_file
from rollout.up.policy_file import PolicyFile


def test_a_change_of_the_file_is_said_once(
    no_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that cannot be read, and the change back."""
    file = no_settings / "rollout.toml"
    file.write_text("[policy]\nbake_days = 5\n")
    # Another test may have bound the module's logger, or silenced all of them, before.
    structlog.reset_defaults()
    monkeypatch.setattr(policy_file, "log", structlog.get_logger("policy file"))
    watched = PolicyFile(read_policies(), read_policies)
    said = []
    for text in (
        "[policy]\nbake_days = 25\n",
        "[policy]\nnonsense = 1\n",
        "[policy]\nbake_days=5\n",
    ):
        file.write_text(text)
        with capture_logs() as logs:
            watched.look()
            watched.look()
        said += logs
    assert [one["log_level"] for one in said] == ["warning", "warning", "info"]
    assert said[0]["differs"] == ["bake_days is 5.0 in force and 25.0 in the file"]
    assert "cannot be read" in said[1]["differs"][0]
