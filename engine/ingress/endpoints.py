"""The addresses that bots deliver to: each with its strategy, its source and its keys."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.decisions.admission import Scope, read_scope
from engine.domain.identifiers import EndpointId, StrategyId
from engine.keys.sealed_secrets import EndpointKey
from engine.ledger import Database
from engine.ledger.people import endpoints, strategies
from engine.plugin.host import Plugins
from engine.ports.signal_source import WebhookSource, endpoint_settings

_LOG = logging.getLogger("rexalgo.ingress")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One webhook endpoint with its opened keys; an empty ``keys`` means that it is disabled.

    ``token_hash`` is set if the address itself is the capability; ``settings`` are what the master
    chose of the source's own ``endpoint_settings``.
    """

    id: str
    strategy: StrategyId
    strategy_name: str
    scope: Scope
    source: WebhookSource
    keys: tuple[EndpointKey, ...]
    is_deleted: bool
    token_hash: bytes | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def read_endpoints(
    db: Database, plugins: Plugins, keys_of: Callable[[EndpointId], tuple[EndpointKey, ...]]
) -> list[Endpoint]:
    """Read every endpoint whose source is enabled; ``keys_of`` returns the opened keys of one."""
    by_id, made = {each.id: each for each in strategies(db)}, list[Endpoint]()
    for row in endpoints(db):
        source = plugins.webhook_sources.get(row.source)
        if source is None:
            _LOG.error(
                "the webhook source %s of endpoint %s is not enabled: its deliveries are refused",
                row.source,
                row.id,
            )
            continue
        strategy = by_id[row.strategy]
        made.append(
            Endpoint(
                id=row.id,
                strategy=strategy.id,
                strategy_name=strategy.name,
                scope=read_scope(strategy.symbols, row.settings),
                source=source,
                keys=keys_of(row.id) if row.enabled else (),
                is_deleted=row.is_deleted,
                token_hash=row.token_hash,
                settings={
                    each.name: each.chosen(row.settings.get(each.name))[0]
                    for each in endpoint_settings(source)
                },
            )
        )
    return made
