"""Tells people of decisions, through Apprise: mail, chat, pagers, web hooks.

A decision leaves its notice in the ledger, in its own transaction. The outbox sends it from a
thread of the controller's process, so that an address that never answers costs the turn nothing.
What was not taken is sent again, to those alone who did not take it, less and less often; after
`TRIES_MAX` tries it is given up with a line in the log. An address may be told twice (its answer
was lost), never not at all while it answers.
"""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from threading import Event, Thread

import structlog
from xxhash import xxh3_64_hexdigest

from rollout.errors import RolloutError
from rollout.pilot.ports import Notice, Notices
from rollout.routing.clock import Clock

log = structlog.get_logger("rollout")

TRIES_MAX = 10
"""With the pauses below: for about an hour."""
PAUSE_S_MAX = 600.0
_FIRST_PAUSE_S = 5.0
_LOOK_S = 1.0
_SENDING = timedelta(minutes=5)
"""Nobody else takes a notice that is being sent; a sender that died has it taken after this."""

Send = Callable[[str, str, str], bool]
"""Takes address, title and body; whether the address took it. May block, must not raise."""


class Outbox:
    """Sends what the ledger holds for people.

    Args:
        notices: The ledger.
        clock: Dates the next try.
        urls: As Apprise takes them; none sends nothing.
        send: Delivers one; tests pass their own.
    """

    def __init__(
        self, notices: Notices, clock: Clock, urls: Sequence[str], send: Send | None = None
    ) -> None:
        self._notices = notices
        self._clock = clock
        self._urls = {xxh3_64_hexdigest(url.encode()): url for url in urls}
        self._send = send or _by_apprise
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Send from now on, beside whatever else this process does."""
        if self._urls:
            self._thread = Thread(target=self._run, name="rollout-outbox", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop; what is being sent is not waited for, the next controller sends what is left."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                sent = self.send_one()
            except RolloutError as error:  # the ledger is away
                log.warning("notices wait", why=str(error))
                sent = False
            if not sent:
                self._stop.wait(_LOOK_S)

    def send_one(self) -> bool:
        """Send the oldest notice that is due; False when there is none."""
        now = self._clock.now()
        notice = self._notices.take_notice(now, now + _SENDING)
        if notice is None:
            return False
        told = set(notice.told)
        title = f"rollout: {notice.name}: {notice.action}"
        for digest, url in self._urls.items():
            if digest not in told and self._send(url, title, notice.sentence):
                told.add(digest)
        left = self._urls.keys() - told
        now = self._clock.now()
        again_at = now + _pause(notice) if left and notice.tries < TRIES_MAX else None
        if left and again_at is None:
            log.error("notice given up", name=notice.name, action=notice.action, left=len(left))
        self._notices.note_told(notice.notice_id, told, again_at, now)
        return True


def _pause(notice: Notice) -> timedelta:
    return timedelta(seconds=min(PAUSE_S_MAX, _FIRST_PAUSE_S * 2.0 ** (notice.tries - 1)))


def _by_apprise(url: str, title: str, body: str) -> bool:
    """Send through Apprise, whatever the service on the other side does."""
    scheme = url.split(":", 1)[0]
    began = time.monotonic()
    try:
        import apprise

        told = apprise.Apprise()
        if not told.add(url):
            log.error("no notification: not an Apprise URL", scheme=scheme)
            return False
        if told.notify(title=title, body=body):
            return True
        log.error("notification not taken", scheme=scheme, seconds=round(time.monotonic() - began))
    except Exception as error:  # whatever a plugin of Apprise raises
        log.error("notification failed", scheme=scheme, why=type(error).__name__)
    return False
