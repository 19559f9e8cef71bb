"""Notifier ``log``: one line per alert on the standard logger ``rexalgo.alert``, as ``key=value``
pairs.

An alert is always one line, whatever its texts contain: control characters, line ends and invisible
characters are escaped, so nobody can forge a line. It has no settings; the logging configuration
decides where the line goes.
"""

import logging
import re
from collections.abc import Callable, Mapping

from rexalgo import Alert, HttpClients, InvalidValue, Notifier, hookimpl

rexalgo_api_version = 1
default_settings: Mapping[str, object] = {}

_logger = logging.getLogger("rexalgo.alert")
_NOT_A_KEY = re.compile(r"[^A-Za-z0-9_.-]")


class LogNotifier:
    """A notifier that writes each alert as one warning line."""

    name = "log"

    async def deliver(self, alert: Alert, http: HttpClients) -> None:
        """Write the line. A repeated delivery writes the same ``number`` again."""
        _logger.warning("%s", alert_line(alert))


def alert_line(alert: Alert) -> str:
    """Return an alert as one line of ``key=value`` pairs.

    Texts are quoted and escaped. Details follow, sorted by name.
    """
    pairs = [
        f"alert={alert.code.value}",
        f"number={alert.number}",
        f"wakes={'yes' if alert.wakes else 'no'}",
        f"at={alert.at.isoformat()}",
    ]
    pairs += [
        f"{name}={_quoted(getattr(alert, name))}"
        for name in ("subject", "sentence", "done", "do", "otherwise")
    ]
    pairs += [
        f"details.{_NOT_A_KEY.sub('_', name)}={_quoted(text)}"
        for name, text in sorted(alert.details.items())
    ]
    return " ".join(pairs)


def _quoted(text: str) -> str:
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else character.encode("unicode_escape").decode()


@hookimpl
def register_notifiers(
    register: Callable[[Notifier], None], settings: Mapping[str, object]
) -> None:
    """Register the notifier. Refuse every setting."""
    for unknown in sorted(settings):
        raise InvalidValue(f"plugin.log.{unknown}", "no such setting: log has none")
    register(LogNotifier())
