"""An OpenFeature provider in this process: which path a routing key takes.

It asks the same snapshot as a submission does, without a request. It is advice: gate and claim
decide at the job's start. A sub-pipeline `invoices` is the boolean flag `invoices` (true:
concurrent) and the string flag `invoices.path`; the targeting key is the job's routing key.

    from openfeature import api
    from rollout.openfeature import RolloutProvider

    api.set_provider(RolloutProvider())
    api.get_client().get_boolean_value("invoices", False, EvaluationContext("customer-7"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, TargetingKeyMissingError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.flag_evaluation import Reason as FlagReason
from openfeature.provider import AbstractProvider, Metadata

from rollout.routing.decision import Decision, JobPath, Reason
from rollout.routing.router import Router
from rollout.wiring import Runtime, build

PATH = ".path"

Value = TypeVar("Value", bound=FlagValueType)


class RolloutProvider(AbstractProvider):
    """Answers from the routing snapshot of this process.

    Args:
        runtime: The services; None builds them from the settings. Its owner closes it.
    """

    def __init__(self, runtime: Runtime | None = None) -> None:
        super().__init__()
        self._runtime = build() if runtime is None else runtime
        self._own = runtime is None
        settings = self._runtime.settings
        self._router = Router(self._runtime.control, self._runtime.clock, settings.snapshot_s)

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return Metadata("rollout")

    def shutdown(self) -> None:
        """Close the connections that this provider opened."""
        if self._own:
            self._runtime.close()

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Whether the key runs on the concurrent path."""
        if flag_key.endswith(PATH):
            raise TypeMismatchError(f"{flag_key!r} is a string flag")
        decision = self._decide(flag_key, evaluation_context)
        return _details(decision, decision.path is JobPath.CONCURRENT)

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        """The path that the key runs on."""
        if not flag_key.endswith(PATH):
            raise TypeMismatchError(f"{flag_key!r} is a boolean flag; {flag_key + PATH!r} is text")
        decision = self._decide(flag_key.removesuffix(PATH), evaluation_context)
        return _details(decision, str(decision.path))

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        """There are no such flags."""
        raise TypeMismatchError("flags of rollout are booleans and strings")

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """There are no such flags."""
        raise TypeMismatchError("flags of rollout are booleans and strings")

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """There are no such flags."""
        raise TypeMismatchError("flags of rollout are booleans and strings")

    def _decide(self, name: str, context: EvaluationContext | None) -> Decision:
        key = None if context is None else context.targeting_key
        if not key:
            raise TargetingKeyMissingError("the targeting key is the job's routing key, got none")
        decision = self._router.decide(name, key)
        if decision.reason is Reason.UNKNOWN:
            raise FlagNotFoundError(f"no sub-pipeline named {name!r}")
        return decision


def _details(decision: Decision, value: Any) -> FlagResolutionDetails[Any]:
    metadata: dict[str, bool | int | float | str] = {
        "revision": decision.revision,
        "because": str(decision.reason),
    }
    return FlagResolutionDetails(
        value, reason=_reason(decision), variant=str(decision.path), flag_metadata=metadata
    )


def _reason(decision: Decision) -> FlagReason:
    if decision.reason.means.drawn:
        return FlagReason.SPLIT
    killed = decision.reason.means.by_kill
    return FlagReason.DISABLED if killed else FlagReason.STATIC
