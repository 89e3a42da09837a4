"""Another revision of the package in a folder of its own, beside the harness of this one."""

import io
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def take_revision(revision: str, folder: Path) -> None:
    """Put the package of a git revision into a folder that imports like the checkout.

    The tests in it are a link to this checkout's: the harness watches the older release through
    the same interfaces, and a release that has lost one of them fails here, loudly.

    Raises:
        CalledProcessError: Git does not know the revision.
    """
    archive = subprocess.run(
        ["git", "archive", "--format=tar", revision, "rollout", "migrations"],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    folder.mkdir()
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")
    (folder / "tests").symlink_to(ROOT / "tests")


def last_release() -> str | None:
    """The newest release's tag that is not this commit; None before the first release."""
    found = subprocess.run(
        ["git", "describe", "--tags", "--match", "v*", "--abbrev=0", "HEAD^"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    return found.stdout.strip() or None if found.returncode == 0 else None
