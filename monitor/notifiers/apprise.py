"""Messages to a hundred services, from mail to chat, by Apprise."""

from __future__ import annotations

import logging

from monitor.errors import ConfigError, PublishError
from monitor.secrets import Secret
from monitor.values import Notice

__all__ = ["AppriseNotifier"]

_PATIENCE = 30
_SERIOUS = {"drift": "warning", "blind": "failure", "over": "success", "sees": "info"}


class AppriseNotifier:
    """Sends to one address in Apprise's form, such as ``slack://...``, ``mailtos://...`` or ``json://127.0.0.1:8080``.

    url  the address; it holds tokens, so it comes from the environment or a file
    """

    def __init__(self, url: Secret) -> None:
        try:
            from apprise import Apprise  # noqa: PLC0415 - an extra, and slow to import
        except ImportError as error:
            raise ConfigError("notify: apprise is not installed; pip install 'drift-monitor[notify]'") from error
        # It logs addresses, tokens masked, and what servers answer.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        self._apprise = Apprise()
        if not self._apprise.add(str(url)):
            raise ValueError("url is no address that Apprise knows; see its list of services")
        self._service = str(self._apprise[0].service_name)

    def send(self, notice: Notice) -> str:
        """The service's name; see :class:`monitor.notifiers.Notifier`."""
        try:
            sent = self._apprise.notify(
                body=notice.body, title=notice.title, notify_type=_SERIOUS[notice.event], timeout=_PATIENCE
            )
        except Exception as error:  # noqa: BLE001 - a service's module may raise anything
            raise PublishError(
                f"{self._service} cannot be told ({type(error).__name__}); is its address right?"
            ) from None
        if not sent:
            raise PublishError(
                f"{self._service} did not take the message; is it up, and are its address and token right?"
            )
        return self._service
