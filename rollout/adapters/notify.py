"""Tells people of decisions, through Apprise: mail, chat, pagers, web hooks.

A notification that fails is logged and changes nothing: the decision stands in the ledger.
"""

from collections.abc import Sequence

import structlog

log = structlog.get_logger("rollout")


class Notifier:
    """Sends one message per decision.

    Args:
        urls: As Apprise takes them; none sends nothing.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)

    def decided(self, name: str, action: str, sentence: str) -> None:
        """Tell all; never raises."""
        if not self._urls:
            return
        try:
            import apprise

            told = apprise.Apprise()
            for url in self._urls:
                if not told.add(url):
                    log.error("no notification: not an Apprise URL", scheme=url.split(":", 1)[0])
            if not told.notify(title=f"rollout: {name}: {action}", body=sentence):
                log.error("notification not delivered", name=name, action=action)
        except Exception as error:  # whatever a service on the other side does
            log.error("notification failed", name=name, why=type(error).__name__)
