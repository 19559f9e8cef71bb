"""Sources of secrets: the environment, a ``.env`` file of mode 0600, or a file named by
``NAME_FILE``.

A found value never appears in a message. A value that is plainly not random is refused here, so
that ``config check`` says it before ``serve`` would.
"""

import base64
import binascii
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from engine.decisions.secret_strength import why_guessable, why_made_by_hand
from engine.domain.errors import InvalidValue
from engine.ports.secret import Secret

ENVIRONMENT: Final = "environment"
_LINE: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_JWT_EXPECTED: Final = (
    "at least 32 random bytes in base64, or several of them with commas between, the active one "
    "first (rexalgo init makes one)"
)
_KEY_EXPECTED: Final = (
    "kid:base64[,kid:base64...], kid of 8 hex digits, keys of 32 random bytes (rexalgo init makes "
    "one for a new installation; where a ledger is, put back the copy of .env that you keep elsewhere)"
)
_KEY: Final = re.compile(r"[0-9a-f]{8}:[A-Za-z0-9+/]{43}=")


def _jwt_secret(text: str) -> None:
    secrets = [each.strip() for each in text.split(",")]
    for number, secret in enumerate(secrets, 1):
        if len(secret.encode()) < 32:
            found = "a shorter text"
        elif secret in secrets[: number - 1]:
            found = "the same one twice"
        else:
            found = why_guessable(secret)
        if found:
            raise InvalidValue("", _JWT_EXPECTED, found + _which(number, secrets))


def _encryption_key(text: str) -> None:
    keys = [each.strip() for each in text.split(",")]
    for number, key in enumerate(keys, 1):
        if not _KEY.fullmatch(key) or len(_decoded(key)) != 32:
            found = "another form"
        else:
            found = why_made_by_hand(_decoded(key))
        if found:
            raise InvalidValue("", _KEY_EXPECTED, found + _which(number, keys))


def _which(number: int, values: list[str]) -> str:
    return f" (value {number} of {len(values)})" if len(values) > 1 else ""


def _decoded(key: str) -> bytes:
    try:
        return base64.b64decode(key.partition(":")[2], validate=True)
    except binascii.Error:
        return b""


SECRETS: Final[Mapping[str, Callable[[str], None]]] = {
    "ENCRYPTION_KEY": _encryption_key,
    "JWT_SECRET": _jwt_secret,
}
"""Every secret by the name of its environment variable, with the check of its form.
``.env.example`` lists the same names.
"""


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where a secret is stored; if ``file`` is None, in the environment of this process, which no
    command can change.

    ``is_line``: it is one line of that file, a ``.env``; otherwise the file holds nothing else.
    ``name`` is the name of its environment variable.
    """

    label: str
    file: Path | None
    is_line: bool = False
    name: str = "ENCRYPTION_KEY"


def read_env_file(file: Path) -> Mapping[str, str]:
    """Read ``NAME=VALUE`` lines; ``#`` begins a comment line, one pair of surrounding quotes is
    dropped, nothing is expanded.

    Raises InvalidValue if others may read the file, if a line has another form, or for a name close
    to a secret's name.
    """
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidValue("", "a readable file in UTF-8") from None
    if mode & 0o077:
        raise InvalidValue(
            "", f"mode 0600, for it holds secrets (chmod 600 {file})", f"mode {mode:04o}"
        )
    values = parse_env(text)
    _refuse_near_miss(values)
    return values


def parse_env(text: str) -> dict[str, str]:
    """Read the lines of a ``.env``; if a name appears twice, the last one counts. Raises
    InvalidValue.
    """
    values: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise InvalidValue(f"line {number}", "NAME=VALUE or # comment", "another form")
        values[match[1]] = _unquoted(match[2])
    return values


def with_env_value(text: str, name: str, value: str) -> str:
    """Return the text of a ``.env`` with a new value for a name in it, everything else unchanged.

    If the name appears twice, both get the new value, so that no former value is left behind.
    Raises InvalidValue if it is missing.
    """
    lines, is_there = text.splitlines(), False
    for index, line in enumerate(lines):
        match = _LINE.fullmatch(line.strip())
        if match is not None and match[1] == name:
            lines[index], is_there = f"{line[: line.index('=') + 1]}{value}", True
    if not is_there:
        raise InvalidValue(name, "a line of this name", "none")
    return "\n".join(lines) + "\n"


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text


def _refuse_near_miss(values: Mapping[str, str]) -> None:
    names = [*SECRETS, *(f"{name}_FILE" for name in SECRETS)]
    for name in values:
        near = [] if name in names else get_close_matches(name, names, 1, cutoff=0.85)
        if near:
            raise InvalidValue(name, f"a known name (did you mean {near[0]}?)", "an unknown one")


def read_secrets(
    sources: Sequence[tuple[str, Mapping[str, str]]], folder: Path
) -> tuple[Mapping[str, tuple[str, Secret]], list[tuple[str, InvalidValue]]]:
    """Find each secret in the first source that names it; an empty value counts as absent.

    ``sources`` are (label, values) pairs, the strongest first. Returns (label, Secret) by name, and
    (label, problem) pairs.
    """
    by_name: dict[str, tuple[str, Secret]] = {}
    problems: list[tuple[str, InvalidValue]] = []
    for name, check in SECRETS.items():
        for label, values in sources:
            if not values.get(name) and not values.get(f"{name}_FILE"):
                continue
            try:
                text = _one_value(name, values, folder)
                check(text)
            except InvalidValue as error:
                problems.append(
                    (label, InvalidValue(error.field or name, error.expected, error.found))
                )
            else:
                by_name[name] = (label, Secret(text))
            break
    return by_name, problems


def place_of(
    name: str, sources: Sequence[tuple[str, Mapping[str, str]]], folder: Path
) -> SecretPlace | None:
    """Return where ``read_secrets`` takes a secret from; None if nothing names it."""
    for label, values in sources:
        if values.get(name):
            return (
                SecretPlace(label, None, name=name)
                if label == ENVIRONMENT
                else SecretPlace(label, Path(label), is_line=True, name=name)
            )
        if values.get(f"{name}_FILE"):
            file = folder / values[f"{name}_FILE"]
            return SecretPlace(str(file), file, name=name)
    return None


def _one_value(name: str, values: Mapping[str, str], folder: Path) -> str:
    text, file = values.get(name, ""), values.get(f"{name}_FILE", "")
    if text and file:
        raise InvalidValue(name, f"either {name} or {name}_FILE", "both")
    if text:
        return text.strip()
    try:
        return (folder / file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise InvalidValue(f"{name}_FILE", "the path of a readable text file", file) from None
