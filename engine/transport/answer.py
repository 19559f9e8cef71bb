"""One answer as a value, the same for both ways of reading it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

from engine.transport.errors import HttpStatusError

FieldLines = list[tuple[bytes, bytes]]
_CHARSETS: Final = frozenset(("utf-8", "us-ascii", "iso-8859-1", "windows-1252"))


class Headers(Mapping[str, str]):
    """The header lines of an answer. Names are compared without case; lines of one name are joined
    by a comma.
    """

    __slots__ = ("_values",)

    def __init__(self, lines: FieldLines) -> None:
        self._values: dict[str, str] = {}
        for raw_name, raw_value in lines:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            known = self._values.get(name)
            self._values[name] = value if known is None else f"{known}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Answer:
    """A whole answer; ``content`` is the body without its content encoding. ``lines`` are its
    header lines as they came, names in lower case; ``headers`` is the view for people who ask by
    name.
    """

    __slots__ = ("content", "http_version", "lines", "reason", "status_code")

    def __init__(
        self,
        status_code: int,
        lines: FieldLines,
        content: bytes,
        reason: bytes = b"",
        http_version: bytes = b"1.1",
    ) -> None:
        self.status_code = status_code
        self.lines = lines
        self.content = content
        self.reason = reason
        self.http_version = http_version

    @property
    def headers(self) -> Headers:
        """Return the header lines by name."""
        return Headers(self.lines)

    @property
    def text(self) -> str:
        """Return the body as text, in the charset it names if that is a common one, else as UTF-8."""
        _, _, after = self.headers.get("content-type", "").lower().partition("charset=")
        charset = after.partition(";")[0].strip(" \"'")
        return self.content.decode(charset if charset in _CHARSETS else "utf-8", "replace")

    def json(self, **options: Any) -> Any:
        """Return the body read as JSON; ``options`` are those of ``json.loads``, which raises
        ValueError.
        """
        return json.loads(self.content, **options)

    def raise_for_status(self) -> Self:
        """Return the answer itself; raises HttpStatusError unless its status is 2xx."""
        if not 200 <= self.status_code < 300:
            raise HttpStatusError(f"expected a 2xx answer, found {self.status_code}")
        return self

    def value(self, name: bytes) -> str | None:
        """Return the value of one header, named in lower case, without making the whole view."""
        values = [value for each, value in self.lines if each == name]
        return b", ".join(values).decode("latin-1") if values else None
