"""What the page of a kill says before the second touch."""

from __future__ import annotations

from tests.builders import NAME
from tests.web.conftest import Office

HERE = f"/sub-pipelines/{NAME}"


def test_it_says_when_legacy_is_what_fails(office: Office) -> None:
    """A kill sends everything there, and whoever kills is to know."""
    assert "Legacy itself fails" not in office.client.get(f"{HERE}/kill").text
    office.failed("f1", "KeyError: 'discount'")
    office.app._site.shared.forget()
    page = office.client.get(f"{HERE}/kill").text
    assert "Legacy itself fails now: 1 of 1 finished jobs failed on it" in page
    assert f"Kill {NAME} now" in page


def test_a_killed_one_is_not_offered_as_if_it_were_not(office: Office) -> None:
    """The switch stays, and says that it would be another time."""
    assert f"Kill {NAME}…" in office.client.get(HERE).text
    office.client.post(f"{HERE}/kill", data={})
    page = office.client.get(HERE).text
    assert "Kill again…" in page
    assert f"Kill {NAME}…" not in page
