"""A job's error in one line, as lists, groups and alarms show it, and spans as people say them."""

from datetime import timedelta

import pytest

from rollout.desk.lately import error_line
from rollout.desk.text import span_text
from rollout.routing.decision import Reason
from tests.builders import record


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("ValueError: no address", "ValueError: no address"),
        (
            "ValidationError: 1 validation error for Batch\nrows\n  Input should be a valid integer"
            "\n    For further information visit https://errors.pydantic.dev/2.14/v/int_parsing",
            "ValidationError: 1 validation error for Batch",
        ),
        (
            "OperationalError: (sqlite3.OperationalError) no such table: rates\n[SQL: SELECT 1]\n"
            "(Background on this error at: https://sqlalche.me/e/20/e3q8)",
            "OperationalError: (sqlite3.OperationalError) no such table: rates",
        ),
        ("ExceptionGroup: \n\n two of three", "ExceptionGroup: two of three"),
        ("", "no error was recorded"),
        (None, "no error was recorded"),
    ],
)
def test_it_is_what_the_error_says_first(error: str | None, line: str) -> None:
    """The last line of pydantic's and SQLAlchemy's errors is a link, the same for all of them."""
    assert error_line(record(error=error)) == line


def test_a_job_without_an_error_says_what_is_known() -> None:
    """A dead worker leaves no error behind."""
    line = error_line(record(error=None, fallback_reason=Reason.WORKER_LOST))
    assert line == "no error was recorded: its worker died"


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(days=1, seconds=1), "1 d"),
        (timedelta(days=1, hours=2, minutes=3), "1 d 2 h"),
        (timedelta(hours=1, seconds=59), "1 h"),
        (timedelta(minutes=2, seconds=50), "2 min 50 s"),
        (timedelta(), "0 s"),
    ],
)
def test_a_span_is_its_largest_unit_and_the_one_below(span: timedelta, said: str) -> None:
    """A day and a second is a day: nobody reads the second."""
    assert span_text(span) == said
