"""Webhook endpoints and their secrets: created, and renewed with an overlap. A secret is shown
once, to the person who created it.
"""

import secrets
from collections.abc import Mapping
from datetime import datetime

from engine.context import EngineContext
from engine.decisions.signatures import capability_key
from engine.domain.identifiers import EndpointId, StrategyId
from engine.identity.references import capability_hash, new_secret_id
from engine.keys.sealed_secrets import seal_endpoint_secret
from engine.keys.vault import Vault
from engine.ledger import Database
from engine.ledger.audit import append_audit
from engine.ledger.outcomes import write_event
from engine.ledger.people import (
    EndpointRow,
    endpoint_owner,
    endpoints,
    expire_secrets,
    insert_endpoint,
    insert_endpoint_secret,
    person_key,
    set_endpoint_token,
)
from engine.ports.secret import Secret
from engine.ports.signal_source import WebhookSource, endpoint_settings


def make_endpoint(
    db: Database, vault: Vault, strategy: StrategyId, source: WebhookSource, now: datetime
) -> tuple[EndpointId, Secret]:
    """Add a webhook address with a secret to a strategy, within the caller's transaction."""
    endpoint = EndpointRow(
        id=EndpointId(f"ep_{secrets.token_hex(16)}"),
        strategy=strategy,
        source=source.name,
        enabled=True,
        is_deleted=False,
    )
    insert_endpoint(db, endpoint)
    secret = source.new_secret()
    key = person_key(db, endpoint_owner(db, endpoint.id))
    insert_endpoint_secret(db, seal_endpoint_secret(vault, key, endpoint.id, secret), now)
    return endpoint.id, secret


async def rotate_secret(
    context: EngineContext,
    endpoint: EndpointRow,
    strategy: str,
    source: WebhookSource,
    until: datetime,
    by: str,
    address: str,
) -> Secret:
    """Give an endpoint a new secret; the earlier ones stay valid until ``until``. Returns the new
    one, the only time that it is shown.
    """
    now, key, vault = context.clock.now(), await context.audit_key(), await context.open_vault()
    secret = source.new_secret()

    def write(writing: Database) -> None:
        owner = person_key(writing, endpoint_owner(writing, endpoint.id))
        row = seal_endpoint_secret(vault, owner, endpoint.id, secret)
        expire_secrets(writing, endpoint.id, until)
        insert_endpoint_secret(writing, row, now)
        write_event(
            writing,
            kind="secret",
            subject=strategy,
            data={"rotated": True, "old_until": until.isoformat()},
            at=now,
        )
        append_audit(
            writing,
            key=key,
            by=by,
            act="webhook_secret_renewed",
            subject=strategy,
            data={"old_until": until.isoformat()},
            at=now,
            address=address,
        )

    await context.ledger.write(write)
    await context.changed()
    return secret


# Addresses that are capabilities themselves


def _in_words(source: WebhookSource, settings: Mapping[str, object]) -> dict[str, object]:
    """Return settings for the audit: those of the source as the page words them."""
    own = {each.name: each for each in endpoint_settings(source)}
    chosen = {
        own[name].title: own[name].chosen(settings[name])[1] for name in own if name in settings
    }
    rest = {name: value for name, value in settings.items() if name not in own}
    return rest | ({"chosen": chosen} if chosen else {})


async def make_capability(
    context: EngineContext,
    strategy: StrategyId,
    name: str,
    source: WebhookSource,
    settings: Mapping[str, object],
    by: str,
    address: str,
) -> str:
    """Add an address whose token is the capability; return it, the only time that it is shown. Only
    the token's hash is stored.
    """
    now, key, token = context.clock.now(), await context.audit_key(), new_secret_id()
    vault = await context.open_vault()
    row = EndpointRow(
        id=EndpointId(f"ep_{secrets.token_hex(16)}"),
        strategy=strategy,
        source=source.name,
        enabled=True,
        is_deleted=False,
        settings=settings,
        token_hash=capability_hash(token),
    )

    def write(db: Database) -> None:
        insert_endpoint(db, row)
        owner = person_key(db, endpoint_owner(db, row.id))
        proof = seal_endpoint_secret(vault, owner, row.id, capability_key(token))
        insert_endpoint_secret(db, proof, now)
        append_audit(
            db,
            key=key,
            by=by,
            act="capability_made",
            subject=name,
            data={"source": source.name, **_in_words(source, settings)},
            at=now,
            address=address,
        )

    await context.ledger.write(write)
    await context.changed()
    return address_of(context, token)


def address_of(context: EngineContext, token: str) -> str:
    """Return the whole address whose token is the capability."""
    return f"{context.webhook_address}/hooks/tv/{token}"


async def renew_capabilities(
    context: EngineContext, strategy: StrategyId, name: str, by: str, address: str
) -> list[tuple[EndpointRow, str]]:
    """Put another address in place of each of a strategy's that is itself the proof; the former ones
    are refused from now on. Return them, the only time that they are shown.
    """
    now, key, vault = context.clock.now(), await context.audit_key(), await context.open_vault()

    def write(db: Database) -> list[tuple[EndpointRow, str]]:
        renewed = []
        for row in endpoints(db):
            if row.strategy != strategy or row.token_hash is None or row.is_deleted:
                continue
            token, owner = new_secret_id(), person_key(db, endpoint_owner(db, row.id))
            set_endpoint_token(db, row.id, capability_hash(token))
            expire_secrets(db, row.id, now)
            proof = seal_endpoint_secret(vault, owner, row.id, capability_key(token))
            insert_endpoint_secret(db, proof, now)
            renewed.append((row, address_of(context, token)))
        append_audit(
            db,
            key=key,
            by=by,
            act="capabilities_leaked",
            subject=name,
            data={"renewed": len(renewed)},
            at=now,
            address=address,
        )
        return renewed

    renewed = await context.ledger.write(write)
    await context.changed()
    return renewed
