"""Read a follower's exchange login from a table whose named secrets were resolved. Nothing here
ever repeats a value.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from engine.domain.account import Environment
from engine.domain.errors import InvalidValue
from engine.ports.exchange import CredentialField
from engine.ports.secret import Secret, is_one_line
from engine.provisioning.reading import Table, kind_of
from engine.provisioning.resolving import MISSING, RESOLVED
from engine.provisioning.templates import numbered

_ONE_LINE: Final = "one line of letters, digits and signs (printable ASCII)"
_FORMS: Final = ("", "_env", "_file")


def read_credentials(
    table: Table, wanted: Sequence[CredentialField], environment: Environment, count: int | None
) -> list[Mapping[str, Secret]]:
    """Read one login per follower (one without a count); empty after recording problems.

    ``secret`` (or secret_env, secret_file) fills the first secret field, ``credentials`` the
    others. A literal secret is refused if the environment is live.
    """
    before = len(table.problems)
    main = next((each.name for each in wanted if each.secret), None)
    inner = table.inner("credentials")
    given: dict[str, list[str]] = {}
    if inner is not None:
        inner.refuse_unknown([f"{each.name}{form}" for each in wanted for form in _FORMS])
    for field in wanted:
        if field.name == main:
            inside = inner is not None and any(f"{main}{form}" in inner.values for form in _FORMS)
            outside = any(f"secret{form}" in table.values for form in _FORMS)
            if inner is not None and inside and not outside:
                texts = _read_one(
                    inner, key=main, wanted=field, environment=environment, count=count
                )
            else:
                if inside:
                    table.complain(
                        "credentials", f"{main} only once", f"secret and credentials.{main}"
                    )
                texts = _read_one(
                    table, key="secret", wanted=field, environment=environment, count=count
                )
        else:
            texts = _read_one(
                inner or Table(f"{table.path}.credentials", {}, table.problems, table.name),
                key=field.name,
                wanted=field,
                environment=environment,
                count=count,
            )
        given[field.name] = texts
    if len(table.problems) > before:
        return []
    return [
        {name: Secret(texts[index]) for name, texts in given.items()} for index in range(count or 1)
    ]


def _read_one(
    table: Table, key: str, wanted: CredentialField, environment: Environment, count: int | None
) -> list[str]:
    """Read one field in exactly one of its three forms; one text per follower, or nothing after
    recording a problem.
    """
    forms = [f"{key}{form}" for form in _FORMS]
    present = [form for form in forms if form in table.values]
    if len(present) != 1:
        table.complain(
            key,
            "exactly one of " + ", ".join(forms) + f" ({wanted.label})",
            " and ".join(present) or "none",
        )
        return []
    value = table.values[present[0]]
    if present[0] != key:
        return _resolved(table, present[0], value)
    if wanted.secret and environment is Environment.LIVE:
        table.complain(
            key,
            f"{key}_env or {key}_file: this exchange is {environment.label}, and a secret must "
            "not stand in a file of settings",
        )
        return []
    if isinstance(value, str) and not is_one_line(value):
        table.complain(key, _ONE_LINE, "another text")
        return []
    if not isinstance(value, str) or not value:
        table.complain(
            key, "a text in quotes, not empty", "an empty text" if value == "" else kind_of(value)
        )
        return []
    try:
        return (
            numbered(value, count if wanted.secret or "{" in value else None, key)
            if count
            else [value]
        )
    except InvalidValue as error:
        table.complain(key, error.expected)
        return []


def _resolved(table: Table, key: str, value: object) -> list[str]:
    if isinstance(value, Mapping) and isinstance(value.get(MISSING), str):
        table.complain(key, str(value[MISSING]))
        return []
    texts = value.get(RESOLVED) if isinstance(value, Mapping) else None
    if not isinstance(texts, list) or not all(isinstance(each, str) and each for each in texts):
        table.complain(key, "its value to have been fetched by the command line")
        return []
    if not all(is_one_line(each) for each in texts):
        table.complain(key, _ONE_LINE, "another text")
        return []
    return texts
