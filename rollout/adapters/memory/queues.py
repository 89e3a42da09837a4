"""The broker in memory: two queues for each sub-pipeline, and what workers have taken from them."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from rollout.errors import BrokerUnreachable
from rollout.jobs.ports import Handed, Held
from rollout.routing.decision import JobPath


@dataclass(frozen=True, slots=True, eq=False)
class MemoryMessage:
    """One message; two of the same job are two messages."""

    name: str
    path: JobPath
    job_id: str
    envelope: str


class MemoryQueues:
    """`jobs.ports.Queues` for one process, with the worker's and the producer's side beside it.

    Like a broker with late acknowledgement: a message that was taken stays in the worker's hands
    until it is acknowledged or given back.

    Attributes:
        reachable: Set to False to play a broker that is away.
    """

    url = "memory:"

    def __init__(self) -> None:
        self.reachable = True
        self._queues: defaultdict[tuple[str, JobPath], deque[MemoryMessage]] = defaultdict(deque)
        self._taken: dict[MemoryMessage, None] = {}
        self._lock = Lock()

    # The controller's side: jobs.ports.Queues -------------------------------------------------

    def send_jobs(self, jobs: Sequence[Handed]) -> None:
        """Publish stored envelopes to the queues of their paths. Raises BrokerUnreachable."""
        self._must_answer()
        for job in jobs:
            if job.envelope:
                self.send(MemoryMessage(job.name, job.path, job.job_id, job.envelope))

    def held(self, name: str) -> Held:
        """Say what the queues and the workers hold. Raises BrokerUnreachable."""
        self._must_answer()
        with self._lock:
            queues = {path: self._queues[(name, path)] for path in JobPath}
            return Held(
                frozenset(message.job_id for message in self._taken),
                {path: queue[0].job_id if queue else None for path, queue in queues.items()},
                {path: len(queue) for path, queue in queues.items()},
            )

    # The producer's and the worker's side ------------------------------------------------

    def send(self, message: MemoryMessage) -> None:
        """Put a message at the end of its queue. Raises BrokerUnreachable."""
        self._must_answer()
        with self._lock:
            self._queues[(message.name, message.path)].append(message)

    def take(self, name: str, path: JobPath) -> MemoryMessage | None:
        """Take the oldest message of a queue into a worker's hands; None when it is empty.

        Raises:
            BrokerUnreachable: Nothing was taken.
        """
        self._must_answer()
        with self._lock:
            queue = self._queues[(name, path)]
            if not queue:
                return None
            message = queue.popleft()
            self._taken[message] = None
            return message

    def acknowledge(self, message: MemoryMessage) -> None:
        """Forget a message that was taken. Raises BrokerUnreachable; then it is still held."""
        self._must_answer()
        with self._lock:
            self._taken.pop(message, None)

    def _must_answer(self) -> None:
        if not self.reachable:
            raise BrokerUnreachable(self.url, ConnectionError("set unreachable"))
