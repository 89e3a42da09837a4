"""The API against its own description: schemathesis draws requests, no answer is a defect."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.web.conftest import OURS, Office

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis

STREAMS = ("/api/v1/events", "/ofrep/v1/events")
EXAMPLES = 8


@pytest.fixture
def schema(office: Office) -> Any:
    """What the API says of itself, with a job and a decision to find."""
    office.failed("f1")
    return schemathesis.openapi.from_dict(office.client.get("/api/v1/openapi.json").json())


@pytest.mark.timeout(600)  # some 30 operations, each drawn several times
def test_whatever_is_asked_is_answered(office: Office, schema: Any) -> None:
    """Every operation, with drawn parameters and bodies: an answer, or a problem in words."""
    operations = [one.ok() for one in schema.get_all_operations()]
    asked = [one for one in operations if one.path not in STREAMS]
    assert len(asked) > 25
    for operation in asked:
        _draw(office, operation)


def _draw(office: Office, operation: Any) -> None:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    def ask(case: Any) -> None:
        office.app._site.rates._limiter.storage.reset()
        asked = case.as_transport_kwargs(base_url=OURS)
        asked.pop("cookies", None)
        body = asked.pop("data", None)
        if isinstance(body, bytes | str):
            asked["content"] = body
        answer = office.client.request(**asked)
        assert answer.status_code < 500, (case.method, case.path, answer.text[:300])
        if answer.status_code >= 400 and operation.path.startswith("/api/"):
            values = answer.json()
            assert answer.headers["content-type"] == "application/problem+json"
            assert values["detail"]
            assert values["todo"]

    ask()
