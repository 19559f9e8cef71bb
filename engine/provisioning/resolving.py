"""Fetch the secrets that a provisioning file names: on the caller's side, with the caller's
environment and the caller's files.

The result is the same table in JSON types. A literal ``secret`` stays as it is. The value of
``secret_env`` and ``secret_file`` (and of ``NAME_env`` and ``NAME_file`` in ``credentials``)
becomes ``{"resolved": [...]}``, one text per follower, or ``{"missing": "what was expected"}``. The
key stays, so that the parser still knows what was a literal in the file, and can report a missing
secret together with everything else that is wrong.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Final

from engine.domain.errors import InvalidValue
from engine.provisioning.errors import ProvisionErrors, ProvisionProblem
from engine.provisioning.templates import numbered, parse_count

RESOLVED: Final = "resolved"
MISSING: Final = "missing"
SECRET_FILE_BYTES_MAX: Final = 65_536
_SHOWN_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def resolve_secrets(
    table: Mapping[str, object], environ: Mapping[str, str], folder: Path, file: str = "the file"
) -> dict[str, object]:
    """Replace every named secret by its value; relative paths start at ``folder``, files are read
    as UTF-8 and stripped.

    A missing secret is marked, not raised: the parser reports it together with all other problems.
    Raises ProvisionErrors only for values that TOML has and JSON does not (dates, inf, nan), naming
    every one of them.
    """
    problems: list[ProvisionProblem] = []
    copy = _jsonable(table, "", problems)
    if problems:
        raise ProvisionErrors(file, problems)
    assert isinstance(copy, dict)
    readers: Mapping[str, Callable[[str], str]] = {
        "_env": lambda name: _from_environment(name, environ),
        "_file": lambda path: _from_file(path, folder),
    }
    followers = copy.get("follower")
    for follower in followers if isinstance(followers, list) else []:
        if isinstance(follower, dict):
            _resolve_follower(follower, readers)
    return copy


def _jsonable(value: object, path: str, problems: list[ProvisionProblem]) -> object:
    if isinstance(value, Mapping):
        return {
            str(key): _jsonable(each, f"{path}.{key}" if path else str(key), problems)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_jsonable(each, f"{path}[{index}]", problems) for index, each in enumerate(value)]
    if isinstance(value, date | datetime | time):
        problems.append(
            ProvisionProblem(
                path,
                "a text, a number, true or false, a list or a table",
                "a date or time; put it in quotes",
            )
        )
    elif isinstance(value, float) and not math.isfinite(value):
        problems.append(ProvisionProblem(path, "a finite number", str(value)))
    return value


def _resolve_follower(
    follower: dict[str, object], readers: Mapping[str, Callable[[str], str]]
) -> None:
    try:
        count = parse_count(follower["count"], "count") if "count" in follower else None
    except InvalidValue:
        count = None  # the parser reports it
    credentials = follower.get("credentials")
    for holder, names in ((follower, ("secret",)), (credentials, None)):
        if not isinstance(holder, dict):
            continue
        for key, value in list(holder.items()):
            for suffix, read in readers.items():
                if key.endswith(suffix) and (names is None or key.removesuffix(suffix) in names):
                    holder[key] = _resolved(value, count, read)


def _resolved(value: object, count: int | None, read: Callable[[str], str]) -> dict[str, object]:
    if not isinstance(value, str) or not value:
        return {MISSING: "a name in quotes"}
    try:
        names = numbered(value, count, "")
    except InvalidValue as error:
        return {MISSING: error.expected}
    texts: list[str] = []
    for number, name in enumerate(names, 1):
        try:
            texts.append(read(name))
        except InvalidValue as error:
            return {
                MISSING: error.expected + ("" if count is None else f" (follower number {number})")
            }
    return {RESOLVED: texts}


# Somebody may have put the secret itself in place of its name: a name is repeated only if it looks
# like one, a path never.


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    text = environ.get(name, "").strip()
    if not text:
        shown = f" {name}" if _SHOWN_NAME.fullmatch(name) else ""
        raise InvalidValue(
            "",
            f"environment variable{shown} to be set (in this shell, or in .env beside "
            "rexalgo.toml)",
        )
    return text


def _from_file(path: str, folder: Path) -> str:
    expected = (
        "the path of a readable file with the secret and nothing else; a relative path starts at "
        f"{folder}"
    )
    try:
        with (folder / Path(path).expanduser()).open("rb") as opened:
            text = opened.read(SECRET_FILE_BYTES_MAX + 1).decode().strip()
    except (
        OSError,
        ValueError,
        RuntimeError,
    ):  # ValueError: not UTF-8, or a zero byte in the path; RuntimeError: no home folder
        raise InvalidValue("", expected) from None
    if not text or len(text) > SECRET_FILE_BYTES_MAX:
        raise InvalidValue("", expected)
    return text
