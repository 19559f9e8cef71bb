"""The answers to a bot's delivery as types: answers are made of them, and so is their JSON Schema."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec


class Taken(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """The signal is recorded. ``receipt`` is the address that tells what became of it.

    ``mirrored`` is false with a ``reason`` if no order of it will reach an exchange.
    ``ignored_fields`` counts the unknown fields of the body.
    """

    ok: Literal[True]
    signal_id: str
    duplicate: bool
    receipt: str
    ignored_fields: int = 0
    mirrored: bool = True
    reason: str | None = None


class DryRun(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """A dry run: no signal was recorded. ``would`` counts the ``copies`` by what would become of them:
    ``order`` goes on to the checks of its account, ``not_mirrored`` has the ``reason``, anything
    else is an outcome. ``duplicate``: this signal was recorded before.
    """

    ok: Literal[True]
    dry_run: Literal[True]
    message: str
    duplicate: bool
    copies: int
    would: Mapping[str, int]
    ignored_fields: int = 0
    mirrored: bool = True
    reason: str | None = None


class Refused(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """Nothing of the delivery was recorded. ``field`` and ``expected`` name what is wrong with a body.
    With 409, ``signal_id`` and ``receipt`` are those of the signal that its id stands for.
    """

    ok: Literal[False]
    error: str
    message: str
    field: str | None = None
    expected: str | None = None
    signal_id: str | None = None
    receipt: str | None = None


STATUSES: Final[Mapping[str, tuple[type[Any], ...]]] = {
    "200": (Taken, DryRun),
    "202": (Taken,),
    **dict.fromkeys(("400", "401", "408", "409", "410", "413", "422", "429", "503"), (Refused,)),
}
"""What an answer of each status carries."""


def contract(body: Mapping[str, object]) -> dict[str, object]:
    """Return the contract with bots: the JSON Schema of a body, and of the answer by its status."""
    _, definitions = msgspec.json.schema_components(
        [Taken, DryRun, Refused], ref_template="#/$defs/{name}"
    )
    answers = {
        status: {"anyOf": [{"$ref": f"#/$defs/{each.__name__}"} for each in kinds]}
        for status, kinds in STATUSES.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "RexAlgo webhooks",
        "body": body,
        "answers": answers,
        "$defs": definitions,
    }
