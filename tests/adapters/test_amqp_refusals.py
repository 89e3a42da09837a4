"""What RabbitMQ refuses is a sentence: what it has, what was asked for, what to do."""

import pytest

from rollout.adapters.celery.amqp_refusals import explained, told_in, why_not_taken
from rollout.errors import BrokerRefuses

# As RabbitMQ 3.10.8 says it, through amqp 5.4.
DIFFERS = (
    "Queue.declare: (406) PRECONDITION_FAILED - inequivalent arg '{}' for queue 'bills.legacy' in "
    "vhost 'shop': received {} but current is {}"
)
LENGTH = DIFFERS.format("x-max-length", "none", "the value '100' of type 'signedint'")
DURABLE = DIFFERS.format("durable", "'true'", "'false'")
UNTYPED = DIFFERS.format("x-queue-type", "the value 'quorum' of type 'longstr'", "none")
GLOBAL = (
    "Basic.consume: (540) NOT_IMPLEMENTED - queue 'celery' in vhost 'shop' does not support global "
    "qos"
)
LATE = (
    "(0, 0): (406) PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout "
    "value used: 20000 ms. This timeout value can be configured, see consumers doc guide"
)
RIGHT = (
    "Basic.publish: (403) ACCESS_REFUSED - access to exchange 'amq.default' in vhost 'shop' "
    "refused for user 'few'"
)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (LENGTH, "declared with x-max-length = 100, and this app asks for it without x-max-length"),
        (DURABLE, "declared with durable = false, and this app asks for it with durable = true"),
        (UNTYPED, "without x-queue-type, and this app asks for it with x-queue-type = quorum"),
        (GLOBAL, "'celery' is a quorum queue"),
        (LATE, "within RabbitMQ's consumer_timeout (20 s)"),
        (RIGHT, "user 'few' has not the right that is needed on exchange 'amq.default'"),
    ],
)
def test_each_refusal_is_told(words: str, says: str) -> None:
    """With the queue, the argument and both values; and as one line for a log."""
    told = explained(RuntimeError(words))
    assert told is not None
    assert says in told.problem
    assert told.hint
    assert why_not_taken(RuntimeError(words)) == str(told)


def test_what_is_no_refusal_stays_as_it_is() -> None:
    """A connection that was reset has its own words."""
    assert explained(ConnectionResetError("reset by peer")) is None
    assert why_not_taken(ConnectionResetError("reset by peer")) == "reset by peer"


def test_a_workers_loop_says_it_and_ends_as_celery_has_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whether the worker ends or reconnects is for Celery's own settings to say."""

    def loop(error: Exception) -> None:
        raise error

    with pytest.raises(RuntimeError, match="timed out"):
        told_in(loop)(RuntimeError(LATE))
    assert "consumer_timeout (20 s)" in capsys.readouterr().out
    with pytest.raises(OSError, match="gone"):
        told_in(loop)(OSError("gone"))
    assert capsys.readouterr().out == ""
    assert isinstance(explained(RuntimeError(GLOBAL)), BrokerRefuses)
