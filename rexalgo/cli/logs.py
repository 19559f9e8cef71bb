"""The log: to stderr, and to a file that is renamed when it is large; as text or as JSON.

Text from outside (names, notes, an exchange's messages) can neither start a line nor move a cursor.
A configured secret that reached a message all the same is replaced.
"""

import json
import logging
import sys
import time
from collections.abc import Collection
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from engine.actors.log_context import working_for
from engine.ports.secret import Secret
from engine.settings.config import Config, LogConfig
from rexalgo.cli.common import CliError, Exit

TO_STDERR: Final = LogConfig("text", "info", None, 50, 10)
REDACTED: Final = "[redacted]"
_CHARACTERS_MIN: Final = 8
"""A shorter text is no secret that was made here, and may be a word."""


class _Redacting(logging.Formatter):
    """A formatter that replaces secrets in whatever it made, tracebacks included."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__(
            "%(asctime)sZ %(levelname)s %(name)s: %(message)s%(about)s", "%Y-%m-%dT%H:%M:%S"
        )
        self.converter = time.gmtime
        self._secrets = sorted(secrets, key=len, reverse=True)

    def _redacted(self, text: str) -> str:
        for each in self._secrets:
            text = text.replace(each, REDACTED)
        return text


class _Text(_Redacting):
    """One line per record, with unprintable characters escaped; a traceback has lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in working_for().items())
        record.about = f" [{ids}]" if ids else ""
        return self._redacted(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:
        return "".join(
            each if each.isprintable() else each.encode("unicode_escape").decode()
            for each in super().formatMessage(record)
        )


class _Json(_Redacting):
    """One JSON object per record, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._redacted(record.getMessage()),
            **working_for(),
        }
        if record.exc_info:
            fields["error"] = self._redacted(self.formatException(record.exc_info))
        return json.dumps(fields)


class _File(RotatingFileHandler):
    """A file that is renamed at its size. If it cannot be written that is said once, and stderr
    still has the record.
    """

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._failed:
            error = sys.exc_info()[1]
            sys.stderr.write(f"the log file {self.baseFilename} cannot be written: {error}\n")
        self._failed = True


def start_logging(config: LogConfig = TO_STDERR, secrets: Collection[str] = ()) -> None:
    """Log to stderr and to the configured file, times in UTC. Raises CliError if the file cannot be
    opened.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if config.file is not None:
        handlers.append(_open(config.file, config))
    for each in handlers:
        each.setFormatter((_Json if config.form == "json" else _Text)(secrets))
    logging.basicConfig(level=config.level.upper(), handlers=handlers, force=True)
    for noisy in ("httpx", "hypercorn", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _open(file: Path, config: LogConfig) -> _File:
    try:
        return _File(
            file,
            maxBytes=config.file_mib * 2**20,
            backupCount=config.files,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except OSError as error:
        raise CliError(
            f"log.file: expected a file that can be written, found {file} ({error.strerror}); "
            'correct it, or set log.file to ""',
            Exit.USAGE,
        ) from error


def secrets_of(config: Config) -> set[str]:
    """Return every text that must never be in the log: the configured secrets and their parts."""
    known: list[Secret | None] = [config.secrets.jwt_secret, config.secrets.encryption_key]
    texts = [each.reveal() for each in known if each is not None]
    parts = {part for text in texts for key in text.split(",") for part in (key, key[9:])}
    return {each.strip() for each in {*texts, *parts} if len(each.strip()) >= _CHARACTERS_MIN}
