"""`/api/v1`: what an alert may do by itself: only what makes things safer.

Alertmanager sends a body of its own to a webhook, again every few hours while the alert lasts, and
once more when it is over. So the body says what is the matter and decides nothing but that an alert
that is over does nothing: whoever rearmed by then is not overruled.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from rollout.routing.stages import Event
from rollout.web.acts import change, kill_one
from rollout.web.asked import REASON_MAX, AskedOf, Body

router = APIRouter(prefix="/api/v1", tags=["act"])

OVER = "resolved"


class Alert(BaseModel):
    """What Alertmanager sends, as far as it is read; a body that lacks all of it is an alert, too.

    Source: Prometheus documentation, "Alerting: Configuration", webhook_config.
    """

    model_config = ConfigDict(extra="ignore")

    status: Any = Field("firing", description="`resolved` does nothing.")
    labels: Any = Field(None, alias="commonLabels")
    annotations: Any = Field(None, alias="commonAnnotations")

    @property
    def body(self) -> Body:
        """The body of the action: why, in the alert's own words."""
        said = (_of(self.labels, "alertname"), _of(self.annotations, "summary"))
        why = ": ".join(one for one in said if one) or "without a name"
        return Body(reason=f"alert {why}"[:REASON_MAX])


@router.post("/sub-pipelines/{name}/on-alert/kill")
def kill(name: str, alert: Alert, asked: AskedOf) -> Response:
    """Kill while the alert lasts."""
    return _over(asked, "kill", name, alert) or kill_one(name, alert.body, asked)


@router.post("/sub-pipelines/{name}/on-alert/freeze")
def freeze(name: str, alert: Alert, asked: AskedOf) -> Response:
    """Freeze while the alert lasts: the scope may not grow."""
    return _over(asked, "freeze", name, alert) or change(
        asked, name, Event.FREEZE, alert.body, None
    )


@router.post("/sub-pipelines/{name}/on-alert/revert")
def revert(name: str, alert: Alert, asked: AskedOf) -> Response:
    """Revert while the alert lasts."""
    return _over(asked, "revert", name, alert) or change(
        asked, name, Event.REVERT, alert.body, None
    )


def _over(asked: AskedOf, action: str, name: str, alert: Alert) -> Response | None:
    """The answer to an alert that is over."""
    asked.must_see(action, name)
    asked.permit(action, name)
    if alert.status != OVER:
        return None
    why = "the alert is over; what it did stays until a person takes it back"
    return JSONResponse({"did": "nothing", "why": why, "state": asked.state(name)})


def _of(values: Any, key: str) -> str:
    given = values.get(key) if isinstance(values, dict) else None
    # Text that no database takes must not be in the way of a kill.
    return given.encode("utf-8", "replace").decode() if isinstance(given, str) else ""
