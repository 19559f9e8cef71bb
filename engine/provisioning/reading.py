"""Read one table of the file: each value with its path, every problem recorded, nothing raised."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar, cast

from engine.domain.errors import InvalidValue
from engine.provisioning.errors import ProvisionProblem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Table:
    """One table with its path and the name it belongs to; ``problems`` is shared by the whole file."""

    path: str
    values: Mapping[str, object]
    problems: list[ProvisionProblem]
    name: str | None = None

    def complain(self, key: str, expected: str, found: str | None = None) -> None:
        """Record a problem of one key (empty: of the table itself)."""
        path = f"{self.path}.{key}" if key and self.path else key or self.path
        self.problems.append(ProvisionProblem(path, expected, found, self.name))

    def refuse_unknown(self, known: Sequence[str]) -> None:
        """Record every unknown key, with the nearest known one."""
        for key in self.values:
            if key not in known:
                near = get_close_matches(key, known, 1)
                self.complain(
                    key,
                    f"a known key (did you mean {near[0]}?)"
                    if near
                    else "one of " + ", ".join(known),
                    "an unknown key",
                )

    def read(
        self, key: str, parse: Callable[[object, str], T], default: T | None = None
    ) -> T | None:
        """Parse one value; ``default`` if the key is absent, None after recording a problem (or if
        it is missing).
        """
        if key not in self.values:
            if default is None:
                self.complain(key, "a value", "nothing")
            return default
        try:
            return parse(self.values[key], key)
        except InvalidValue as error:
            self.complain(
                error.field, error.expected, None if error.found is None else repr(error.found)
            )
            return None

    def choice(self, key: str, choices: Iterable[str], default: str | None = None) -> str | None:
        """Read one of several words."""
        allowed = list(choices)

        def parse(value: object, field: str) -> str:
            if not isinstance(value, str) or value not in allowed:
                near = get_close_matches(value, allowed, 1) if isinstance(value, str) else []
                hint = f" (did you mean {near[0]}?)" if near else ""
                words = (
                    "one of " + ", ".join(allowed)
                    if allowed
                    else "something that is there, and nothing is"
                )
                raise InvalidValue(field, words + hint, value)
            return value

        return self.read(key, parse, default)

    def inner(self, key: str) -> "Table | None":
        """Return a table inside this one; None if it is absent, or after recording that it is not a
        table.
        """
        value = self.values.get(key)
        if isinstance(value, Mapping):
            return Table(
                f"{self.path}.{key}", cast("Mapping[str, object]", value), self.problems, self.name
            )
        if key in self.values:
            self.complain(key, "a table in braces, such as { ... }", kind_of(value))
        return None


def kind_of(value: object) -> str:
    """Return a name for the type of a value, for messages about what may be a secret."""
    names: Mapping[type, str] = {
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), "something else")


def read_flag(value: object, field: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise InvalidValue(field, "true or false", value)
    return value
