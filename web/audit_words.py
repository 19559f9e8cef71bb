"""The audit in words: what each row says that somebody did, and what was before and is now.

Every act that the engine writes has a sentence here; a test compares them. A row of a later version
whose act is not known keeps its name.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from web.labels import LEVERAGES, LIMITS, SIZINGS, SWITCH_LEVELS

KINDS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "stops": (
        "Stops and resumes",
        {
            "switched_on": "stopped {subject}",
            "switched_off": "resumed {subject}",
            "person_suspended": "suspended {subject}",
            "person_resumed": "ended the suspension of {subject}",
            "quarantine_ended": "ended the quarantine of account {subject}",
            "position_taken_over": "took over a position on account {subject}",
            "position_closed": "asked to close one position of account {subject}",
        },
    ),
    "orders": (
        "Orders and books",
        {
            "unknown_decided": "decided about an unknown order of account {subject}",
            "reconciled": "corrected the ledger of account {subject} by its exchange",
            "restore_confirmed": "confirmed a restored ledger for {subject}",
            "drawdown_reset": "reset the drawdown of account {subject}",
        },
    ),
    "people": (
        "People and roles",
        {
            "joined": "joined as {subject}",
            "role_given": "gave a role to {subject}",
            "role_taken": "took a role from {subject}",
            "sign_in_link_made": "made a one-time link for {subject}",
            "invitation_made": "made an invitation",
            "invitation_revoked": "ended an invitation",
            "asked_to_be_master": "asked to become a master",
            "master_granted": "made {subject} a master, who had asked",
            "master_refused": "refused to make {subject} a master",
            "account_viewed": "looked at account {subject}",
        },
    ),
    "sign-in": (
        "Signing in and factors",
        {
            "signed_in": "signed in",
            "sign_in_refused": "was refused at the sign-in",
            "session_ended": "signed out another session",
            "sessions_ended": "ended sessions of {subject}",
            "password_set": "set a password",
            "second_factor_set": "set a second factor",
            "second_factor_removed": "removed the second factor",
            "second_factors_reset": "removed the second factors of {subject}, who lost them",
            "passkey_added": "added a passkey",
            "passkey_removed": "removed a passkey",
            "passkey_copied": "used a passkey that reported a lower counter than before; it was refused",
            "recovery_codes_renewed": "made new recovery codes",
        },
    ),
    "terms": (
        "Accounts and terms",
        {
            "account_connected": "connected an account of {subject}",
            "account_disconnected": "disconnected account {subject}",
            "account_renamed": "renamed account {subject}",
            "key_replaced": "replaced the key of account {subject}",
            "exchange_key_leaked": "reported the key of account {subject} as leaked",
            "channel_begun": "began to connect a channel of {subject}",
            "channel_connected": "connected a channel of {subject}",
            "channel_changed": "changed what a channel tells {subject}",
            "channel_removed": "disconnected a channel of {subject}",
            "token_made": "made an API token for {subject}",
            "token_revoked": "revoked an API token of {subject}",
            "agreed_live": "agreed to copy live with account {subject}",
            "agreed_watch": "agreed to watch with account {subject}",
            "consented": "agreed to what the master changed, for account {subject}",
            "strategy_resumed": "resumed a strategy on account {subject}",
            "strategy_left": "left a strategy with account {subject}",
            "provisioned": "declared people and strategies from {subject}",
        },
    ),
    "strategies": (
        "Strategies and webhooks",
        {
            "strategy_made": "made strategy {subject}",
            "strategy_changed": "changed strategy {subject}",
            "strategy_draft": "made strategy {subject} a draft",
            "strategy_published": "published strategy {subject}",
            "strategy_by_link": "showed strategy {subject} by link only",
            "strategy_private": "made strategy {subject} private",
            "strategy_paused": "paused strategy {subject}",
            "strategy_retired": "retired strategy {subject}",
            "endpoint_made": "made an address of strategy {subject}",
            "endpoint_enabled": "switched on an address of strategy {subject}",
            "callback_set": "set the callback of strategy {subject}",
            "callback_removed": "ended the callback of strategy {subject}",
            "endpoint_disabled": "switched off an address of strategy {subject}",
            "endpoint_deleted": "deleted an address of strategy {subject}",
            "webhook_secret_renewed": "made a new webhook secret of strategy {subject}",
            "old_secrets_revoked": "revoked old webhook secrets of strategy {subject}",
            "capabilities_leaked": "replaced the leaked secret addresses of strategy {subject}",
            "capability_made": "made a secret address of strategy {subject}",
        },
    ),
    "place": (
        "This installation",
        {
            "alert_tested": "tested the alert channel {subject}",
            "audit_keys_exported": "exported the keys of the audit",
            "root_key_activated": "activated root key {subject}",
            "root_key_rewrapped": "moved every key under root key {subject}",
            "root_key_disabled": "disabled root key {subject}",
            "root_key_removed": "removed root key {subject}",
            "session_key_activated": "activated session key {subject}",
            "session_key_removed": "removed session key {subject}",
            "session_key_leaked": "replaced a leaked session key",
        },
    ),
}
"""Each kind of act by its name in an address: its label, and its acts with their sentences."""
_SENTENCES: Final = {act: text for _, acts in KINDS.values() for act, text in acts.items()}
_FIELDS: Final[Mapping[str, str]] = {
    **{name: label for name, (label, _, _) in LIMITS.items()},
    "mode": "Mode",
    "leverage": "Leverage",
    "symbols": "Contracts",
    "size": "Order size",
    "below_minimum": "Below the smallest order",
    "allow_own_position": "Entries beside an own position",
    "asks_for_consent": "Followers are asked to agree",
    "how": "With",
    "why": "Why",
    "was": "Before",
    "old_until": "Old secrets valid until",
    "updated": "Changed",
    "kids": "Keys",
    "others": "Other keys",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a row says: its name, what was before (empty: nothing is known) and what is
    now.
    """

    name: str
    before: str
    now: str


def sentence(row: Mapping[str, Any]) -> str:
    """Return what the person of an audit row did, as it follows their name."""
    if row["act"] == "strategy_paused" and "strategy" in json.loads(row["data"]):
        return f"paused a strategy on account {row['subject']}"  # a follower did, not the master
    told = _SENTENCES.get(row["act"])
    if told is None:
        return f"{row['act'].replace('_', ' ')} {row['subject']}".strip()
    return told.format(subject=row["subject"])


def acts_saying(text: str) -> list[str]:
    """Return the acts whose sentence contains a text; case does not count."""
    wanted = text.casefold()
    return [act for act, told in _SENTENCES.items() if wanted in told.casefold()] if wanted else []


def changes(data: str) -> list[Change]:
    """Return what an audit row changed, from its data (JSON, as it is sealed).

    Of two whole states only what differs is listed.
    """
    fields: dict[str, Any] = json.loads(data)
    before, now = fields.pop("before", None), fields.pop("now", None)
    rest = [Change(_label(name), "", _text(name, value)) for name, value in _flat(fields)]
    if isinstance(now, Mapping):
        was = dict(_flat(before)) if isinstance(before, Mapping) else {}
        is_now = dict(_flat(now))
        rest += [
            Change(_label(name), _text(name, was.get(name)), _text(name, is_now.get(name)))
            for name in dict.fromkeys((*was, *is_now))
            if was.get(name) != is_now.get(name)
        ]
    elif before is not None:
        rest.insert(0, Change("Before", "", _text("before", before)))
    return [each for each in rest if each.before or each.now]


def _flat(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield fields; those of a sizing and of a leverage as one, those of limits one by one."""
    for name, value in fields.items():
        if isinstance(value, Mapping) and name == "created":
            yield name, [f"{count} {_many(kind, count)}" for kind, count in value.items()]
        elif name == "sizing":
            yield "size", value
        elif isinstance(value, Mapping) and name == "limits":
            yield from value.items()
        else:
            yield name, value


def _many(kind: str, count: int) -> str:
    return kind if count == 1 else f"{kind.removesuffix('y')}{'ies' if kind.endswith('y') else 's'}"


def _label(name: str) -> str:
    return _FIELDS.get(name, name.replace("_", " ").capitalize())


def _text(name: str, value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case {"mode": mode, **amount} if name == "size" and mode in SIZINGS:
            label, unit, _ = SIZINGS[mode]
            return f"{label}: {next(iter(amount.values()))} {unit}"
        case {"mode": mode, "value": number} if mode in LEVERAGES:
            return f"{LEVERAGES[mode]} {number}x"
        case Mapping():
            return ", ".join(f"{key}: {_text(key, each)}" for key, each in value.items())
        case list():
            return ", ".join(_text(name, each) for each in value)
        case _ if name in LIMITS:
            return f"{value} {LIMITS[name][1]}"
        case str() if name.endswith(("_at", "until")):
            return _moment(value)
        case _ if name == "level":
            return SWITCH_LEVELS.get(value, (str(value), ""))[0]
        case _:
            return str(value)


def _moment(text: str) -> str:
    """Return a time as its day and minute; a text that is none stays as it is sealed."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
    return f"{at.day} {at:%b %Y %H:%M} UTC"
