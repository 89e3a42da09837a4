"""Eager mode, as teams' unit tests use it: the same with and without rollout, and no server."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from celery import Celery, chain, chord, current_task, group
from celery.exceptions import Ignore, Reject

from rollout.pipeline import SubPipeline
from rollout.wiring import build

SETTINGS = [
    {"task_eager_propagates": propagates, "task_store_eager_result": stores}
    for propagates, stores in product((False, True), repeat=2)
]
OPTIONS: dict[str, Any] = {"autoretry_for": (KeyError,), "max_retries": 3, "default_retry_delay": 0}


class Shop:
    """An app in eager mode with one task, and what its bodies saw.

    Args:
        kind: `bare`, or the effects of the sub-pipeline.
        settings: Of the app.
    """

    def __init__(self, kind: str, settings: dict[str, Any]) -> None:
        self.app = Celery("shop", broker="redis://127.0.0.1:1/0", backend="cache+memory://")
        self.app.conf.update(task_always_eager=True, **settings)
        self.calls: list[Any] = []

        def body(n: Any = 0, do: str = "") -> Any:
            return self._body(n, do)

        def overlapped(n: Any = 0, do: str = "") -> Any:
            return self._body(n, do)

        if kind == "bare":
            self.bill = self.app.task(body, name="shop.bill", shared=False, **OPTIONS)
        else:
            self.bill = SubPipeline(
                "bills", app=self.app, effects=kind, task_name="shop.bill", **OPTIONS
            )
            self.bill.legacy(body)
            self.bill.concurrent(overlapped)
            if kind == "commit":
                self.bill.commit(lambda value, job: value)
        self.total = self.app.task(self._total, name="shop.total", shared=False)
        self.errback = self.app.task(self._errback, name="shop.errback", shared=False)

    def _body(self, n: Any, do: str) -> Any:
        request = current_task.request
        # Only Celery takes a call inside of a job for that job's own.
        directly = request.called_directly or do == "inside"
        self.calls.append((do, request.retries, request.is_eager, directly))
        match do:
            case "retry" if request.retries < 2:
                raise current_task.retry(countdown=0)
            case "auto" if request.retries < 2:
                raise KeyError("transient")
            case "exhaust":
                raise KeyError("permanent")
            case "call itself":
                return [n, current_task(n + 1, "inside"), current_task.request.id is None]
            case "fail":
                raise ValueError("no")
            case "ignore":
                raise Ignore
            case "reject":
                raise Reject("not today", requeue=False)
        return [n]

    def _total(self, values: Any) -> Any:
        return ["total", values]

    def _errback(self, *given: Any) -> None:
        self.calls.append(("errback", len(given)))


def sent(do: str) -> Callable[[Shop], Any]:
    """A call that sends one job."""
    return lambda shop: shop.bill.delay(1, do)


CALLS: dict[str, Callable[[Shop], Any]] = {
    **{
        do: sent(do)
        for do in ("return", "retry", "auto", "exhaust", "fail", "ignore", "reject", "call itself")
    },
    "apply": lambda shop: shop.bill.apply((1,), task_id="mine", headers={"tenant": "acme"}),
    "apply that throws": lambda shop: shop.bill.apply((1, "fail"), throw=True),
    "link": lambda shop: shop.bill.apply_async((1,), link=shop.bill.s()),
    "errback": lambda shop: shop.bill.apply_async((1, "fail"), link_error=shop.errback.s()),
    "chain": lambda shop: chain(shop.bill.s(1), shop.bill.s()).apply_async(),
    "group": lambda shop: group(shop.bill.s(n) for n in range(3)).apply_async(),
    "chord": lambda shop: chord([shop.bill.s(1), shop.bill.s(2)], shop.total.s()).apply_async(),
    "map": lambda shop: shop.bill.map([1, 2]).apply_async(),
    "by a wrong argument": lambda shop: shop.bill.delay(1, "", 3),
    "by name": lambda shop: shop.app.signature("shop.bill", (1,)).apply_async(),
}


def outcome(call: Callable[[Shop], Any], kind: str, settings: dict[str, Any]) -> list[Any]:
    """What a test of a team sees."""
    shop = Shop(kind, settings)
    try:
        result = call(shop)
        answer = [result.state, repr(result.result)] if hasattr(result, "state") else []
        if hasattr(result, "children") and not answer:
            answer = [one.result for one in result.children]
        if settings["task_store_eager_result"] and hasattr(result, "id"):
            stored = shop.app.AsyncResult(result.id)
            answer += [stored.state, repr(stored.result)]
    except Exception as error:
        answer = ["raised", type(error).__name__, str(error)]
    finally:
        shop.app.close()
    return [answer, shop.calls]


def test_a_call_inside_of_a_job_sends_no_retry() -> None:
    """It is a call: its error is its caller's, and no job of it stays open."""
    app = Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)
    runtime = build(broker_url="memory:", control_url="memory:", ledger_url="memory:")
    bill = SubPipeline("bills", app=app, effects="none", bind=True, runtime=runtime, time_limit=9)

    @bill.legacy
    def count(self: Any, n: int) -> Any:
        if n:
            return [n, bill(n - 1)]
        raise self.retry(exc=KeyError("below"))

    bill.concurrent(count)
    result = bill.apply((1,))
    assert (result.state, repr(result.result)) == ("FAILURE", "KeyError('below')")
    assert len(runtime.ledger.failed(None, 9)) == 2
    app.close()


@pytest.mark.parametrize("kind", ["none", "commit"])
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda one: "-".join(map(str, one.values())))
@pytest.mark.parametrize("name", CALLS)
def test_eager_mode_is_the_same(name: str, settings: dict[str, Any], kind: str) -> None:
    """Results, raised errors, retries, links and what a body sees of its request."""
    expected = outcome(CALLS[name], "bare", settings)
    assert outcome(CALLS[name], kind, settings) == expected
