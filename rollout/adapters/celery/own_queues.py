"""An app's queues, to which those of its sub-pipelines belong without being listed.

`task_create_missing_queues = False` is how an app refuses queues that a caller has misspelt. The
queues that a declaration names are not misspelt.
"""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from celery.app.amqp import Queues

if TYPE_CHECKING:
    Theirs = dict[str, Any]
else:
    Theirs = Queues


class OwnQueues(Theirs):
    """Celery's queues; one that a declaration names is made when it is first asked for.

    Args:
        own: Gives the names of the queues of everything that is declared by now.
        given: Arguments of Celery's class.
    """

    new_missing: Callable[[str], Any]
    add: Callable[[Any], Any]

    def __init__(self, own: Callable[[], Collection[str]], *given: Any, **options: Any) -> None:
        self._own = own
        super().__init__(*given, **options)

    def __missing__(self, name: str) -> Any:
        if name in self._own():
            return self.add(self.new_missing(name))
        return super().__missing__(name)  # type: ignore[misc]  # Celery's has it
