"""Provisioning: an operator declares masters, strategies and followers in a file, and the ledger is
made to match it.

Three steps, one way: ``resolve_secrets`` fetches named secrets on the caller's side;
``parse_declarations`` reads the table whole or not at all; ``apply_declarations`` compares it with
the ledger and writes in one transaction.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from engine.keys.vault import Vault
from engine.ledger import Database, Ledger
from engine.ledger.people import accounts, masters, strategies
from engine.plugin.host import Plugins
from engine.provisioning.applying import ProvisionResult, apply_declarations
from engine.provisioning.declarations import (
    ExchangePlace,
    Known,
    known_strategies,
    parse_declarations,
)
from engine.provisioning.errors import ProvisionErrors, ProvisionProblem
from engine.provisioning.resolving import resolve_secrets

__all__ = ["ProvisionErrors", "ProvisionProblem", "ProvisionResult", "provision", "resolve_secrets"]


async def provision(
    ledger: Ledger,
    vault: Vault,
    plugins: Plugins,
    table: Mapping[str, object],
    *,
    places: Mapping[str, ExchangePlace],
    now: datetime,
    webhook_address: str,
    webhook_source: str,
    file: str,
    also: Callable[[Database, ProvisionResult], None] = lambda db, result: None,
) -> ProvisionResult:
    """Read a table whose secrets are resolved and apply it; raises ProvisionErrors with everything
    that is wrong, and then applies nothing.

    The caller finishes one run before it begins another; ``also`` writes in the same transaction.
    """
    db = ledger.db
    known = Known(
        frozenset(masters(db)),
        known_strategies(strategies(db)),
        frozenset(each.name for each in accounts(db)),
    )
    wanted = parse_declarations(
        table,
        places=places,
        plugins=plugins,
        known=known,
        file=file,
        webhook_source=webhook_source,
    )

    def apply(writing: Database) -> ProvisionResult:
        result = apply_declarations(
            writing, vault, plugins, wanted, now=now, webhook_address=webhook_address, file=file
        )
        also(writing, result)
        return result

    return await ledger.write(apply)
