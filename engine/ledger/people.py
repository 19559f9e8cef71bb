"""Participants: people with their data keys, masters, strategies, webhook endpoints, exchange
accounts, subscriptions.

What always holds: a secret is stored only sealed, beside the row version it was sealed for; names
are unique per kind; nothing in this file deletes a row. It knows no key:
``engine.keys.sealed_secrets`` seals and opens.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from engine.domain.amounts import Ratio, plain
from engine.domain.identifiers import (
    AccountId,
    EndpointId,
    PersonId,
    StrategyId,
    Symbol,
    own_name,
)
from engine.domain.subscription import CopyPolicy, Subscription, SubscriptionState
from engine.ledger.codec import dump, from_us, read_policy, to_us, write_policy
from engine.ledger.query import Database, Row, fetch_all, fetch_one, run
from engine.ledger.root_keys import refuse_disabled

KIND_COPY_TRADING = "copy_trading"
KIND_ALGO = "algo"
SHOWN_AS = "(CASE strategy.state WHEN 'paused' THEN strategy.shown_as ELSE strategy.state END)"
"""SQL for a strategy's visibility: published, by_link, private, or its master alone (draft,
retired). Pausing does not change it.
"""


@dataclass(frozen=True, slots=True)
class PersonKey:
    """One person's data key as it is stored: wrapped under the root key ``kid``; ``id`` (16 bytes)
    marks its fields.
    """

    person: PersonId
    id: bytes
    kid: str
    wrapped: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRow:
    """One strategy. ``source`` is the webhook source of kind copy_trading, the stream source of
    kind algo.
    """

    id: StrategyId
    name: str
    master: str
    kind: str
    symbols: frozenset[Symbol]
    leverage: Ratio
    source: str
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRow:
    """One webhook address of a strategy; ``token_hash`` is set if the address itself is the
    capability, with its ``settings``.
    """

    id: EndpointId
    strategy: StrategyId
    source: str
    enabled: bool
    is_deleted: bool
    settings: Mapping[str, object] = field(default_factory=dict)
    token_hash: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSecretRow:
    """One sealed webhook secret; ``owner`` is the master's person; ``valid_until`` None: until
    replaced.
    """

    id: str
    endpoint: EndpointId
    owner: PersonId
    sealed: bytes
    row_version: int
    valid_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """One follower's exchange account; ``sealed`` are its credentials, ``ended_at`` is when it was
    disconnected. ``title`` is what its owner calls it, empty if they call it by its name.
    """

    id: AccountId
    name: str
    person: PersonId
    exchange: str
    environment: str
    sealed: bytes
    row_version: int
    created_at: datetime | None = None
    ended_at: datetime | None = None
    title: str = ""

    @property
    def own_name(self) -> str:
        """Return the name that it has, or had while it was connected."""
        return self.name if self.ended_at is None else own_name(self.name)


# People and their keys


def insert_person(db: Database, name: str, key: PersonKey, now: datetime) -> None:
    """Add a person with a data key of their own; ``key.person`` is the new id. What happened before
    is not new to them. Raises RootKeyDisabled.
    """
    refuse_disabled(db, key.kid)
    db.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped, seen) VALUES (?, ?, "
        "?, ?, ?, ?, (SELECT coalesce(max(sequence), 0) FROM event))",
        (key.person, name, to_us(now), key.id, key.kid, key.wrapped),
    )


def person_key(db: Database, person: PersonId) -> PersonKey:
    """Read a person's wrapped data key; raises LookupError if there is none."""
    row = fetch_one(
        db, "SELECT id, key_id, key_kid, key_wrapped FROM person WHERE id = ?", (person,)
    )
    if row is None:
        raise LookupError(f"the ledger has no person {person}")
    return PersonKey(PersonId(row[0]), *row[1:])


# Masters and strategies


def insert_master(db: Database, identifier: str, name: str, person: PersonId) -> None:
    """Add a master, and give the person the master's role, unless it was taken from them."""
    db.execute(
        "INSERT INTO master (id, name, person_id) VALUES (?, ?, ?)", (identifier, name, person)
    )
    db.execute(
        "INSERT INTO person_role (person_id, role, since_us, given_by) VALUES (?, 'master', 0, "
        "'being declared') ON CONFLICT (person_id, role) DO NOTHING",
        (person,),
    )


def masters(db: Database) -> dict[str, str]:
    """Read every master's id by name."""
    return dict(fetch_all(db, "SELECT name, id FROM master ORDER BY name"))


def master_of(db: Database, person: PersonId) -> str | None:
    """Find the name under which a person publishes; None if they do not."""
    row = fetch_one(db, "SELECT name FROM master WHERE person_id = ?", (person,))
    return None if row is None else str(row[0])


def insert_strategy(db: Database, row: StrategyRow, now: datetime) -> None:
    """Add a strategy; raises LookupError if its master does not exist."""
    db.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
        "created_us)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.id,
            row.name,
            _master_id(db, row.master),
            row.kind,
            dump(sorted(row.symbols)),
            plain(row.leverage),
            row.source,
            dump(dict(row.params)),
            to_us(now),
        ),
    )


def _master_id(db: Database, name: str) -> str:
    row = fetch_one(db, "SELECT id FROM master WHERE name = ?", (name,))
    if row is None:
        raise LookupError(f"the ledger has no master {name}")
    return str(row[0])


_STRATEGY = (
    "SELECT strategy.id, strategy.name, master.name, kind, symbols, leverage, source, params FROM "
    "strategy"
    " JOIN master ON master.id = strategy.master_id"
)


def _strategy(row: Row) -> StrategyRow:
    symbols: list[Any] = json.loads(row[4])
    return StrategyRow(
        id=StrategyId(row[0]),
        name=row[1],
        master=row[2],
        kind=row[3],
        symbols=frozenset(map(Symbol, symbols)),
        leverage=Ratio(Decimal(row[5])),
        source=row[6],
        params=json.loads(row[7]),
    )


def strategies(db: Database) -> list[StrategyRow]:
    """Read every strategy, by name."""
    return [_strategy(row) for row in fetch_all(db, _STRATEGY + " ORDER BY strategy.name")]


def strategy_named(db: Database, name: str) -> StrategyRow | None:
    """Find a strategy by name."""
    row = fetch_one(db, _STRATEGY + " WHERE strategy.name = ?", (name,))
    return None if row is None else _strategy(row)


def set_strategy(db: Database, row: StrategyRow) -> None:
    """Write a strategy's master, symbols, leverage, source and params; its name and kind never
    change.
    """
    db.execute(
        "UPDATE strategy SET master_id = ?, symbols = ?, leverage = ?, source = ?, params = ? "
        "WHERE id = ?",
        (
            _master_id(db, row.master),
            dump(sorted(row.symbols)),
            plain(row.leverage),
            row.source,
            dump(dict(row.params)),
            row.id,
        ),
    )


# Endpoints and their secrets


def insert_endpoint(db: Database, row: EndpointRow) -> None:
    """Add a webhook address."""
    db.execute(
        "INSERT INTO endpoint (id, strategy_id, source, enabled, settings, token_hash, number) "
        "VALUES (?, ?, ?, ?, ?, ?, (SELECT coalesce(max(number), 0) + 1 FROM endpoint))",
        (
            row.id,
            row.strategy,
            row.source,
            int(row.enabled),
            dump(dict(row.settings)),
            row.token_hash,
        ),
    )


def signed_endpoint(db: Database, strategy: StrategyId) -> EndpointId | None:
    """Find the address of a strategy for which its bot signs; None if it has none that is in use."""
    row = fetch_one(
        db,
        "SELECT id FROM endpoint WHERE strategy_id = ? AND token_hash IS NULL AND enabled = 1 AND "
        "deleted_us IS NULL ORDER BY number DESC LIMIT 1",
        (strategy,),
    )
    return None if row is None else EndpointId(row[0])


def endpoints(db: Database) -> list[EndpointRow]:
    """Read every webhook address, including deleted ones: they answer differently from unknown
    ones.
    """
    rows = fetch_all(
        db,
        "SELECT id, strategy_id, source, enabled, deleted_us IS NOT NULL, settings, token_hash "
        "FROM endpoint ORDER BY number, id",
    )
    return [
        EndpointRow(
            id=EndpointId(row[0]),
            strategy=StrategyId(row[1]),
            source=row[2],
            enabled=bool(row[3]),
            is_deleted=bool(row[4]),
            settings=json.loads(row[5]),
            token_hash=row[6],
        )
        for row in rows
    ]


def set_endpoint_token(db: Database, endpoint: EndpointId, token_hash: bytes) -> None:
    """Write the hash of another token of an address that is itself the proof."""
    db.execute("UPDATE endpoint SET token_hash = ? WHERE id = ?", (token_hash, endpoint))


def endpoint_owner(db: Database, endpoint: EndpointId) -> PersonId:
    """Read whose data key seals an endpoint's secrets (the master's person); raises LookupError for
    an unknown endpoint.
    """
    row = fetch_one(
        db,
        "SELECT master.person_id FROM endpoint JOIN strategy ON strategy.id = endpoint.strategy_id"
        " JOIN master ON master.id = strategy.master_id WHERE endpoint.id = ?",
        (endpoint,),
    )
    if row is None:
        raise LookupError(f"the ledger has no endpoint {endpoint}")
    return PersonId(row[0])


def insert_endpoint_secret(db: Database, row: EndpointSecretRow, now: datetime) -> None:
    """Add a sealed secret to an endpoint."""
    until = None if row.valid_until is None else to_us(row.valid_until)
    db.execute(
        "INSERT INTO endpoint_secret (id, endpoint_id, owner_id, sealed, row_version, created_us, "
        "valid_until_us, number)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(number), 0) + 1 FROM endpoint_secret "
        "WHERE endpoint_id = ?))",
        (
            *(row.id, row.endpoint, row.owner, row.sealed, row.row_version, to_us(now), until),
            row.endpoint,
        ),
    )


def endpoint_secrets(db: Database, endpoint: EndpointId) -> list[EndpointSecretRow]:
    """Read an endpoint's secrets, newest first, including expired ones."""
    rows = fetch_all(
        db,
        _ENDPOINT_SECRETS + " WHERE endpoint_id = ? ORDER BY created_us DESC, number DESC",
        (endpoint,),
    )
    return [_endpoint_secret(row) for row in rows]


def endpoint_secrets_sealed_for(db: Database, person: PersonId) -> list[EndpointSecretRow]:
    """Read the webhook secrets that a person's data key seals, those that expired too."""
    rows = fetch_all(db, _ENDPOINT_SECRETS + " WHERE owner_id = ? ORDER BY id", (person,))
    return [_endpoint_secret(row) for row in rows]


_ENDPOINT_SECRETS = (
    "SELECT id, endpoint_id, owner_id, sealed, row_version, valid_until_us FROM endpoint_secret"
)


def _endpoint_secret(row: Row) -> EndpointSecretRow:
    return EndpointSecretRow(
        id=row[0],
        endpoint=EndpointId(row[1]),
        owner=PersonId(row[2]),
        sealed=row[3],
        row_version=row[4],
        valid_until=None if row[5] is None else from_us(row[5]),
    )


def secrets_in_use(
    db: Database, endpoint: EndpointId
) -> list[tuple[str, datetime | None, datetime | None, str | None]]:
    """Read (id, valid until, last used, last used from) of an endpoint's secrets, newest first."""
    rows = fetch_all(
        db,
        "SELECT id, valid_until_us, last_used_us, last_used_from FROM endpoint_secret WHERE "
        "endpoint_id = ?"
        " ORDER BY created_us DESC, number DESC",
        (endpoint,),
    )
    return [
        (
            row[0],
            None if row[1] is None else from_us(row[1]),
            None if row[2] is None else from_us(row[2]),
            row[3],
        )
        for row in rows
    ]


def expire_secrets(
    db: Database, endpoint: EndpointId, at: datetime, but: str | None = None
) -> None:
    """Expire every secret of an endpoint at ``at``, except ``but``; one that expires earlier keeps
    its time.
    """
    db.execute(
        "UPDATE endpoint_secret SET valid_until_us = ?1 WHERE endpoint_id = ?2 AND "
        "(valid_until_us IS NULL OR valid_until_us > ?1)"
        + ("" if but is None else " AND id != ?3"),
        (to_us(at), endpoint, *(() if but is None else (but,))),
    )


def secret_used(db: Database, secret_id: str, at: datetime, from_: str) -> None:
    """Record when and from where a delivery was last verified with this secret."""
    db.execute(
        "UPDATE endpoint_secret SET last_used_us = ?, last_used_from = ? WHERE id = ?",
        (to_us(at), from_, secret_id),
    )


# Accounts


def insert_account(db: Database, row: AccountRow, now: datetime) -> None:
    """Add a follower's exchange account, and give its person the follower's role, unless it was
    taken from them.
    """
    db.execute(
        "INSERT INTO account (id, name, person_id, exchange, environment, sealed, row_version, "
        "created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.id,
            row.name,
            row.person,
            row.exchange,
            row.environment,
            row.sealed,
            row.row_version,
            to_us(now),
        ),
    )
    db.execute(
        "INSERT INTO person_role (person_id, role, since_us, given_by) VALUES (?, 'follower', ?, 'an "
        "account') ON CONFLICT (person_id, role) DO NOTHING",
        (row.person, to_us(now)),
    )


_ACCOUNT = (
    "SELECT id, name, person_id, exchange, environment, sealed, row_version, created_us, "
    "disconnected_us, title FROM account"
)


def _account(row: Row) -> AccountRow:
    ended = None if row[8] is None else from_us(row[8])
    created = from_us(row[7])
    return AccountRow(
        id=AccountId(row[0]),
        name=row[1],
        person=PersonId(row[2]),
        exchange=row[3],
        environment=row[4],
        sealed=row[5],
        row_version=row[6],
        created_at=created,
        ended_at=ended,
        title=row[9],
    )


def accounts(db: Database) -> list[AccountRow]:
    """Read every connected account, by name."""
    return [
        _account(row)
        for row in fetch_all(db, _ACCOUNT + " WHERE disconnected_us IS NULL ORDER BY name")
    ]


def account(db: Database, identifier: AccountId) -> AccountRow:
    """Read one account; raises LookupError if there is none."""
    row = fetch_one(db, _ACCOUNT + " WHERE id = ?", (identifier,))
    if row is None:
        raise LookupError(f"the ledger has no account {identifier}")
    return _account(row)


def account_named(db: Database, name: str) -> AccountRow | None:
    """Find an account by its follower's name."""
    row = fetch_one(db, _ACCOUNT + " WHERE name = ?", (name,))
    return None if row is None else _account(row)


def titles_of(db: Database, person: PersonId) -> dict[str, str]:
    """Read by name what a person calls their accounts, those without a title left out."""
    return dict(
        fetch_all(
            db, "SELECT name, title FROM account WHERE person_id = ? AND title != ''", (person,)
        )
    )


def set_title(db: Database, account: AccountId, title: str) -> None:
    """Write what the owner of an account calls it; its name and id stay."""
    db.execute("UPDATE account SET title = ? WHERE id = ?", (title, account))


def set_credentials(db: Database, account: AccountId, sealed: bytes, row_version: int) -> None:
    """Replace an account's credentials; ``sealed`` was sealed for ``row_version``. Raises
    LookupError unless it is the next version.
    """
    changed = run(
        db,
        "UPDATE account SET sealed = ?, row_version = ? WHERE id = ? AND row_version = ?",
        (sealed, row_version, account, row_version - 1),
    )
    if changed != 1:
        raise LookupError(f"the ledger has no account {account} of version {row_version - 1}")


# Subscriptions


def insert_subscription(db: Database, row: Subscription, now: datetime) -> None:
    """Subscribe an account to a strategy."""
    db.execute(
        "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us) VALUES (?, ?, "
        "?, ?, ?)",
        (row.id, row.account, row.strategy, write_policy(row.policy), to_us(now)),
    )


_SUBSCRIPTION = (
    "SELECT subscription.id, account_id, strategy_id, policy, CASE WHEN subscription.state != "
    "'active' THEN subscription.state"
    " WHEN strategy.state IN ('draft', 'paused', 'retired') THEN 'strategy_paused' WHEN agreed_us "
    "< terms_us THEN 'consent'"
    " ELSE 'active' END FROM subscription JOIN strategy ON strategy.id = strategy_id"
)


def _subscription(row: Row) -> Subscription:
    return Subscription(
        id=row[0],
        account=AccountId(row[1]),
        strategy=StrategyId(row[2]),
        policy=read_policy(row[3]),
        state=SubscriptionState(row[4]),
    )


def subscription(db: Database, identifier: str) -> Subscription:
    """Read one subscription; raises LookupError if there is none."""
    row = fetch_one(db, _SUBSCRIPTION + " WHERE subscription.id = ?", (identifier,))
    if row is None:
        raise LookupError(f"the ledger has no subscription {identifier}")
    return _subscription(row)


def subscription_of(db: Database, account: AccountId, strategy: StrategyId) -> Subscription | None:
    """Find what an account agreed to for a strategy."""
    row = fetch_one(
        db, _SUBSCRIPTION + " WHERE account_id = ? AND strategy_id = ?", (account, strategy)
    )
    return None if row is None else _subscription(row)


def subscriptions(db: Database) -> list[Subscription]:
    """Read every subscription."""
    return [
        _subscription(row) for row in fetch_all(db, _SUBSCRIPTION + " ORDER BY subscription.id")
    ]


def symbols_of(db: Database, account: AccountId) -> frozenset[Symbol]:
    """Read the contracts in which an account may have orders of ours: those of its strategies, and
    those it holds or agreed to.
    """
    rows = fetch_all(
        db,
        "SELECT policy, strategy.symbols, '' FROM subscription JOIN strategy ON strategy.id = "
        "strategy_id WHERE account_id = ?1 UNION ALL SELECT '', '[]', symbol FROM holding WHERE "
        "account_id = ?1",
        (account,),
    )
    agreed = {symbol for policy, _, _ in rows if policy for symbol in read_policy(policy).symbols}
    named = {each for _, listed, held in rows for each in (*_listed(listed), held) if each}
    return frozenset(agreed | {Symbol(each) for each in named})


@lru_cache(maxsize=1_024)
def _listed(symbols: str) -> tuple[str, ...]:
    """Read the contracts of a strategy; each text once, because its followers share it."""
    return tuple(json.loads(symbols))


def set_policy(db: Database, identifier: str, policy: CopyPolicy) -> None:
    """Replace what a follower agreed to; raises LookupError if there is no such subscription."""
    changed = run(
        db, "UPDATE subscription SET policy = ? WHERE id = ?", (write_policy(policy), identifier)
    )
    if changed != 1:
        raise LookupError(f"the ledger has no subscription {identifier}")


# What provisioning last declared


def declared(db: Database) -> dict[tuple[str, str, str], str]:
    """Read every value as it was last declared, by (kind, name, field); a stored value that differs
    was changed by a person.
    """
    rows = fetch_all(db, "SELECT kind, name, field, value FROM declared")
    return {(row[0], row[1], row[2]): row[3] for row in rows}


def set_declared(db: Database, values: Mapping[tuple[str, str, str], str]) -> None:
    """Record values as declared."""
    db.executemany(
        "INSERT INTO declared (kind, name, field, value) VALUES (?, ?, ?, ?) ON CONFLICT "
        "(kind, name, field) DO UPDATE SET value = excluded.value",
        [(*key, value) for key, value in values.items()],
    )
