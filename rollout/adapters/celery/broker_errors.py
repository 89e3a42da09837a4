"""Which errors are the broker's: it is away, or it answers and will not take a message.

With a retry policy kombu turns an absence into its own OperationalError; without one, and whatever
is a refusal (no memory left, a right that is missing, a replica), the error of the transport's
library comes through as it is.
"""

from kombu.exceptions import OperationalError

_LIBRARIES = ("redis.", "valkey.", "amqp.")


def is_brokers(error: Exception) -> bool:
    """Whether the broker, or the way to it, is the cause; of a batch, what its error came from.

    Told by the library's name: neither redis-py nor amqp need be installed for the other's broker.
    """
    if type(error).__module__.startswith(_LIBRARIES):
        return True
    if isinstance(error, OperationalError | ConnectionError | TimeoutError):
        return True
    return isinstance(error.__cause__, Exception) and is_brokers(error.__cause__)
