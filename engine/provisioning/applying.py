"""Apply declarations to the ledger: new things are created, what the file changed is changed, what
a person changed since is left alone.

What always holds: one transaction, all of it or nothing; nothing is deleted; a second run of the
same file changes nothing; a webhook secret is revealed only in the run that created it.
"""

import json
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, cast

from engine.domain.amounts import plain
from engine.domain.identifiers import AccountId, EndpointId, StrategyId
from engine.domain.subscription import Subscription
from engine.keys.sealed_secrets import (
    account_credentials,
    credentials_print,
    login_prints,
    new_person,
    seal_credentials,
    seal_endpoint_secret,
)
from engine.keys.vault import Vault, VaultError
from engine.ledger import Database, people
from engine.ledger.codec import dump, policy_fields, read_policy
from engine.ledger.identity import account_of_login, person_named, remember_login
from engine.ledger.people import KIND_COPY_TRADING, AccountRow, EndpointRow, StrategyRow
from engine.ledger.preflight import note_new_credentials
from engine.plugin.host import Plugins
from engine.ports.secret import Secret
from engine.provisioning.declarations import (
    Declarations,
    FollowerDeclaration,
    StrategyDeclaration,
    SubscriptionDeclaration,
)
from engine.provisioning.errors import ProvisionErrors, ProvisionProblem

Key = tuple[str, str, str]
_HIDDEN: Final = "(a login; not shown)"


@dataclass(frozen=True, slots=True)
class ProvisionedStrategy:
    """One declared strategy, for display. ``webhook_url`` is None for kind algo; ``secret`` is set
    only in the run that created it.
    """

    name: str
    webhook_url: str | None
    secret: Secret | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that a person changed after it was declared: the file says one thing, the ledger
    keeps another.
    """

    what: str
    field: str
    file: str
    here: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionResult:
    """What one run did. ``created`` and ``updated`` count by kind; ``followers`` is how many the
    file declares.

    ``subscriptions`` are the pairs of follower and strategy that it declares.
    """

    strategies: tuple[ProvisionedStrategy, ...]
    followers: int
    created: Mapping[str, int]
    updated: tuple[str, ...]
    differences: tuple[Difference, ...]
    subscriptions: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the result in JSON types; the one place where a new webhook secret is revealed."""
        return {
            "strategies": [
                {
                    "name": each.name,
                    "webhook_url": each.webhook_url,
                    "secret": None if each.secret is None else each.secret.reveal(),
                }
                for each in self.strategies
            ],
            "followers": self.followers,
            "created": dict(self.created),
            "updated": list(self.updated),
            "differences": [
                {"what": d.what, "field": d.field, "file": d.file, "here": d.here}
                for d in self.differences
            ],
        }


def apply_declarations(
    db: Database,
    vault: Vault,
    plugins: Plugins,
    wanted: Declarations,
    *,
    now: datetime,
    webhook_address: str,
    file: str = "the file",
) -> ProvisionResult:
    """Apply within the caller's transaction; raises ProvisionErrors for what the ledger proves
    impossible, and then leaves no trace.

    ``webhook_address`` is the base address for bots, such as ``https://copy.example.org``.
    """
    run = _Run(
        db=db,
        vault=vault,
        plugins=plugins,
        now=now,
        webhook_address=webhook_address,
        declared=people.declared(db),
    )
    for name in wanted.masters:
        run.master(name)
    shown = [run.strategy(each) for each in wanted.strategies]
    run.followers(wanted.followers)
    for subscription in wanted.subscriptions:
        run.subscription(subscription)
    if run.problems:
        raise ProvisionErrors(file, run.problems)
    people.set_declared(db, run.remembered)
    pairs = tuple((each.follower, each.strategy) for each in wanted.subscriptions)
    return ProvisionResult(
        strategies=tuple(shown),
        followers=len(wanted.followers),
        created=run.created,
        updated=tuple(run.updated),
        differences=tuple(run.differences),
        subscriptions=pairs,
    )


@dataclass(slots=True)
class _Run:
    """One run's transaction and what it finds."""

    db: Database
    vault: Vault
    plugins: Plugins
    now: datetime
    webhook_address: str
    declared: Mapping[Key, str]
    remembered: dict[Key, str] = field(default_factory=dict)
    created: Counter[str] = field(default_factory=Counter)
    updated: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    problems: list[ProvisionProblem] = field(default_factory=list)

    def decide(self, key: Key, file: str, here: str, show: Callable[[str], str] = str) -> bool:
        """Return whether the file's value is to be written: it differs, and nobody changed the
        ledger's value since the last run.
        """
        kind, name, what = key
        if file == here:
            self.remembered[key] = file
            return False
        if self.declared.get(key) == here:
            self.remembered[key] = file
            self.updated.append(f"{kind} {name}: {what}")
            return True
        self.differences.append(Difference(f"{kind} {name}", what, show(file), show(here)))
        return False

    # Masters and strategies

    def master(self, name: str) -> None:
        if name in people.masters(self.db):
            return
        person = new_person(self.vault, f"master:{name}")
        people.insert_person(self.db, person.name, person.key, self.now)
        people.insert_master(self.db, f"mst_{secrets.token_hex(16)}", name, person.id)
        self.created["master"] += 1

    def strategy(self, wanted: StrategyDeclaration) -> ProvisionedStrategy:
        row = people.strategy_named(self.db, wanted.name)
        if row is None:
            return self._new_strategy(wanted)
        if row.kind != wanted.kind:
            self.problems.append(
                ProvisionProblem(
                    f"{wanted.path}.kind",
                    f"{row.kind}, which never changes",
                    wanted.kind,
                    wanted.name,
                )
            )
            return ProvisionedStrategy(wanted.name, None, None)
        here, there = _strategy_fields(row), _strategy_fields(_row_of(wanted, row.id))
        changed = [
            each
            for each in here
            if self.decide(("strategy", row.name, each), there[each], here[each])
        ]
        if "master" in changed and row.kind == KIND_COPY_TRADING:
            # The webhook secrets are sealed under the master's key: under another master they would
            # not open again.
            self.problems.append(
                ProvisionProblem(
                    f"{wanted.path}.master",
                    f"{row.master}, which never changes",
                    wanted.master,
                    row.name,
                )
            )
        target = _row_of(wanted, row.id)
        people.set_strategy(
            self.db, replace(row, **{each: getattr(target, each) for each in changed})
        )
        return ProvisionedStrategy(row.name, self._webhook_url(row.id), None)

    def _new_strategy(self, wanted: StrategyDeclaration) -> ProvisionedStrategy:
        row = _row_of(wanted, StrategyId(f"str_{secrets.token_hex(16)}"))
        people.insert_strategy(self.db, row, self.now)
        self.remembered.update(
            {("strategy", row.name, name): value for name, value in _strategy_fields(row).items()}
        )
        self.created["strategy"] += 1
        if row.kind != KIND_COPY_TRADING:
            return ProvisionedStrategy(row.name, None, None)
        endpoint = EndpointRow(
            id=EndpointId(f"ep_{secrets.token_hex(16)}"),
            strategy=row.id,
            source=row.source,
            enabled=True,
            is_deleted=False,
        )
        people.insert_endpoint(self.db, endpoint)
        secret = self.plugins.webhook_sources[row.source].new_secret()
        key = people.person_key(self.db, people.endpoint_owner(self.db, endpoint.id))
        people.insert_endpoint_secret(
            self.db, seal_endpoint_secret(self.vault, key, endpoint.id, secret), self.now
        )
        return ProvisionedStrategy(row.name, self._webhook_url(row.id), secret)

    def _webhook_url(self, strategy: StrategyId) -> str | None:
        mine = [
            each
            for each in people.endpoints(self.db)
            if each.strategy == strategy and not each.is_deleted
        ]
        return f"{self.webhook_address}/api/webhooks/copy-trading/{mine[0].id}" if mine else None

    # Followers

    def followers(self, wanted: tuple[FollowerDeclaration, ...]) -> None:
        logins = {
            value: name
            for (kind, name, what), value in self.declared.items()
            if (kind, what) == ("follower", "login")
        }
        kids = {value.partition(":")[0] for value in logins}
        for declaration in wanted:
            row = people.account_named(self.db, declaration.name)
            other = self._other_with_login(declaration, logins, kids)
            if other is not None:
                self.problems.append(
                    ProvisionProblem(
                        declaration.path,
                        "a login that no other account has",
                        f"the login of {other}",
                        declaration.name,
                    )
                )
            elif row is None and person_named(self.db, _person_of(declaration)) is not None:
                self.differences.append(
                    Difference(
                        f"follower {declaration.name}",
                        "account",
                        "connected",
                        "disconnected by its owner",
                    )
                )
            elif row is None:
                self._new_follower(declaration)
            elif row.exchange != declaration.exchange:
                expected = (
                    f"{row.exchange}, where this account is; declare a new follower for another "
                    "exchange"
                )
                self.problems.append(
                    ProvisionProblem(
                        f"{declaration.path}.exchange",
                        expected,
                        declaration.exchange,
                        declaration.name,
                    )
                )
            else:
                self._login(declaration, row)

    def _other_with_login(
        self, each: FollowerDeclaration, logins: Mapping[str, str], kids: set[str]
    ) -> str | None:
        for kid in kids:
            try:
                other = logins.get(
                    credentials_print(self.vault, each.exchange, each.credentials, kid)
                )
            except VaultError:  # a retired root key: what it marked cannot be compared any more
                continue
            if other is not None and other != each.name:
                return other
        # An account that somebody connected on a page is not among the declared ones.
        there = account_of_login(self.db, login_prints(self.vault, each.exchange, each.credentials))
        connected = None if there is None else people.account(self.db, there).name
        return None if connected == each.name else connected

    def _new_follower(self, wanted: FollowerDeclaration) -> None:
        person = new_person(self.vault, _person_of(wanted))
        people.insert_person(self.db, person.name, person.key, self.now)
        account = AccountId(f"acc_{secrets.token_hex(16)}")
        sealed = seal_credentials(
            self.vault,
            key=person.key,
            account=account,
            row_version=1,
            credentials=wanted.credentials,
        )
        row = AccountRow(
            id=account,
            name=wanted.name,
            person=person.id,
            exchange=wanted.exchange,
            environment=wanted.environment.value,
            sealed=sealed,
            row_version=1,
        )
        people.insert_account(self.db, row, self.now)
        print_ = credentials_print(self.vault, wanted.exchange, wanted.credentials)
        self.remembered["follower", wanted.name, "login"] = print_
        remember_login(self.db, print_, account)
        self.created["follower"] += 1

    def _login(self, wanted: FollowerDeclaration, row: AccountRow) -> None:
        key: Key = ("follower", wanted.name, "login")
        kid = self.declared.get(key, "").partition(":")[0]
        kid = kid if kid in self.vault.kids else self.vault.active_kid
        kept = account_credentials(self.db, self.vault, row)
        file, here = (
            credentials_print(self.vault, wanted.exchange, each, kid)
            for each in (wanted.credentials, kept)
        )
        if self.decide(key, file, here, show=lambda _: _HIDDEN):
            version = row.row_version + 1
            sealed = seal_credentials(
                self.vault,
                key=people.person_key(self.db, row.person),
                account=row.id,
                row_version=version,
                credentials=wanted.credentials,
            )
            people.set_credentials(self.db, row.id, sealed, version)
            note_new_credentials(self.db, wanted.name, self.now)
            remember_login(
                self.db, credentials_print(self.vault, wanted.exchange, wanted.credentials), row.id
            )

    # What followers agree to

    def subscription(self, wanted: SubscriptionDeclaration) -> None:
        account = people.account_named(self.db, wanted.follower)
        strategy = people.strategy_named(self.db, wanted.strategy)
        if account is None or strategy is None:
            return  # a problem of the follower or strategy itself, already reported
        name, there = f"{wanted.follower} in {wanted.strategy}", policy_fields(wanted.policy)
        row = people.subscription_of(self.db, account.id, strategy.id)
        if row is None:
            new = Subscription(
                id=f"sub_{secrets.token_hex(16)}",
                account=account.id,
                strategy=strategy.id,
                policy=wanted.policy,
            )
            people.insert_subscription(self.db, new, self.now)
            self.remembered.update(
                {("subscription", name, each): dump(value) for each, value in there.items()}
            )
            self.created["subscription"] += 1
            return
        here = policy_fields(row.policy)
        changed = [
            each
            for each in here
            if self.decide(("subscription", name, each), dump(there[each]), dump(here[each]))
        ]
        if changed:
            people.set_policy(
                self.db,
                row.id,
                read_policy(dump({**here, **{each: there[each] for each in changed}})),
            )


def _person_of(wanted: FollowerDeclaration) -> str:
    return f"follower:{wanted.name}"


def _row_of(wanted: StrategyDeclaration, identifier: StrategyId) -> StrategyRow:
    return StrategyRow(
        id=identifier,
        name=wanted.name,
        master=wanted.master,
        kind=wanted.kind,
        symbols=wanted.symbols,
        leverage=wanted.leverage,
        source=wanted.source,
        params=wanted.params,
    )


def _strategy_fields(row: StrategyRow) -> dict[str, str]:
    """Return the fields of a strategy that may be declared again."""
    return {
        "master": row.master,
        "symbols": dump(sorted(row.symbols)),
        "leverage": plain(row.leverage),
        "source": row.source,
        "params": json.dumps(cast("dict[str, object]", dict(row.params)), sort_keys=True),
    }
