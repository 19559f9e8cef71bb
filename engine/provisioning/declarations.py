"""Parse a provisioning file into declarations: pure, whole or not at all, every problem reported at
once.

What always holds of the result: every name it refers to is declared in the file or known in the
ledger, no name and no exchange login appears twice, a literal secret belongs to an exchange without
real money. The ledger's contents are compared later.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from engine.domain.account import Environment
from engine.domain.amounts import Ratio, parse_ratio
from engine.domain.errors import InvalidValue
from engine.domain.identifiers import Symbol, parse_name
from engine.domain.subscription import CopyPolicy, parse_symbols
from engine.ledger.people import KIND_ALGO, KIND_COPY_TRADING
from engine.plugin.host import Plugins
from engine.ports.exchange import CredentialField
from engine.ports.secret import Secret
from engine.provisioning.credentials import read_credentials
from engine.provisioning.errors import ProvisionErrors, ProvisionProblem
from engine.provisioning.policies import POLICY_KEYS, read_policy
from engine.provisioning.reading import Table, kind_of
from engine.provisioning.templates import numbered, parse_count

_SECRET_KEYS: Final = ("secret", "secret_env", "secret_file", "credentials")
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "master": ("name",),
    "strategy": ("name", "master", "kind", "symbols", "leverage", "source", "params"),
    "follower": ("name", "count", "exchange", *_SECRET_KEYS, "strategy", *POLICY_KEYS),
    "subscription": ("follower", "count", "strategy", *POLICY_KEYS),
}


@dataclass(frozen=True, slots=True)
class ExchangePlace:
    """What provisioning must know of an enabled exchange; ``refused`` is why new accounts are not
    accepted there, or empty.
    """

    credential_fields: Sequence[CredentialField]
    environment: Environment
    refused: str = ""


@dataclass(frozen=True, slots=True)
class KnownStrategy:
    """The limits of a strategy that its followers must fit."""

    symbols: frozenset[Symbol]
    leverage: Ratio


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger already has, so that a file may refer to it without declaring it again."""

    masters: frozenset[str] = frozenset()
    strategies: Mapping[str, KnownStrategy] = field(default_factory=dict)
    followers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyDeclaration:
    """A declared strategy; ``path`` is its place in the file."""

    path: str
    name: str
    master: str
    kind: str
    symbols: frozenset[Symbol]
    leverage: Ratio
    source: str
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerDeclaration:
    """A declared follower with an exchange account."""

    path: str
    name: str
    exchange: str
    environment: Environment
    credentials: Mapping[str, Secret]


@dataclass(frozen=True, slots=True)
class SubscriptionDeclaration:
    """What one follower agrees to for one strategy, as declared."""

    path: str
    follower: str
    strategy: str
    policy: CopyPolicy


@dataclass(frozen=True, slots=True)
class Declarations:
    """Everything a file declares, counts expanded."""

    masters: tuple[str, ...]
    strategies: tuple[StrategyDeclaration, ...]
    followers: tuple[FollowerDeclaration, ...]
    subscriptions: tuple[SubscriptionDeclaration, ...]


def parse_declarations(
    table: Mapping[str, object],
    places: Mapping[str, ExchangePlace],
    plugins: Plugins,
    known: Known,
    file: str,
    webhook_source: str,
) -> Declarations:
    """Read a table whose secrets are resolved (``resolve_secrets``); raises ProvisionErrors with
    everything that is wrong. ``webhook_source`` is that of a strategy that names none.
    """
    parser = _Parser(table, places, plugins, known, webhook_source)
    declarations = parser.run()
    if parser.problems:
        raise ProvisionErrors(file, parser.problems)
    return declarations


class _Parser:
    """The state of parsing one file."""

    def __init__(
        self,
        table: Mapping[str, object],
        places: Mapping[str, ExchangePlace],
        plugins: Plugins,
        known: Known,
        webhook_source: str,
    ) -> None:
        self._webhook_source = webhook_source
        self.problems: list[ProvisionProblem] = []
        self._top = Table("", table, self.problems)
        self._places = places
        self._plugins = plugins
        self._masters = set(known.masters)
        self._strategies: dict[str, KnownStrategy | None] = dict(
            known.strategies
        )  # None: declared, with a problem of its own
        self._followers = set(known.followers)
        self._subscriptions: list[SubscriptionDeclaration] = []

    def run(self) -> Declarations:
        self._top.refuse_unknown(tuple(_KEYS))
        masters = [
            name
            for each in self._tables("master")
            if (name := each.read("name", parse_name)) is not None
        ]
        self._refuse_doubles("master", [("master", name) for name in masters])
        self._masters.update(masters)
        strategies = list(self._read_strategies())
        followers = list(self._read_followers())
        for table in self._tables("subscription", "follower"):
            self._read_subscription(table)
        pairs = [(each.path, f"{each.follower} in {each.strategy}") for each in self._subscriptions]
        self._refuse_doubles("subscription", pairs)
        return Declarations(
            tuple(masters), tuple(strategies), tuple(followers), tuple(self._subscriptions)
        )

    def _tables(self, kind: str, named_by: str = "name") -> Iterator[Table]:
        """Yield the tables of one kind with their paths; report values that are not tables."""
        values = self._top.values.get(kind, [])
        if not isinstance(values, list):
            self._top.complain(
                kind, f"one or more [[{kind}]] tables (two brackets)", kind_of(values)
            )
            return
        for index, value in enumerate(values):
            if not isinstance(value, Mapping):
                self._top.complain(f"{kind}[{index}]", f"a [[{kind}]] table", kind_of(value))
                continue
            name = value.get(named_by)
            table = Table(
                f"{kind}[{index}]",
                value,
                self.problems,
                name[:80] if isinstance(name, str) else None,
            )
            table.refuse_unknown(_KEYS[kind])
            yield table

    def _refuse_doubles(self, what: str, named: Sequence[tuple[str, str]]) -> None:
        counted = Counter(name for _, name in named)
        for name, times in counted.items():
            if times > 1:
                path = [path for path, each in named if each == name][-1]
                self.problems.append(
                    ProvisionProblem(path, f"each {what} once", f"{name} {times} times")
                )

    # Strategies

    def _read_strategies(self) -> Iterator[StrategyDeclaration]:
        named: list[tuple[str, str]] = []
        for table in self._tables("strategy"):
            before = len(self.problems)
            name = table.read("name", parse_name)
            master = table.choice("master", sorted(self._masters))
            kind = table.choice("kind", (KIND_COPY_TRADING, KIND_ALGO), KIND_COPY_TRADING)
            symbols = table.read("symbols", parse_symbols)
            leverage = table.read("leverage", parse_ratio)
            source, params = self._read_source(table, kind)
            if name is not None:
                named.append((table.path, name))
                self._strategies[name] = None
            if len(self.problems) > before or not (
                name and master and kind and symbols and leverage and source
            ):
                continue
            self._strategies[name] = KnownStrategy(symbols, leverage)
            yield StrategyDeclaration(
                path=table.path,
                name=name,
                master=master,
                kind=kind,
                symbols=symbols,
                leverage=leverage,
                source=source,
                params=params,
            )
        self._refuse_doubles("strategy", named)

    def _read_source(
        self, table: Table, kind: str | None
    ) -> tuple[str | None, Mapping[str, object]]:
        if kind is None:
            return None, {}
        inner = table.inner("params")
        params = {} if inner is None else inner.values
        if kind == KIND_COPY_TRADING:
            if inner is not None:
                table.complain("params", f"no params: they belong to kind {KIND_ALGO}", "a table")
            return table.choice(
                "source", sorted(self._plugins.webhook_sources), self._webhook_source
            ), params
        source = table.choice("source", sorted(self._plugins.stream_sources))
        if source is not None:
            self._check_params(table, source, params)
        return source, params

    def _check_params(self, table: Table, source: str, params: Mapping[str, object]) -> None:
        try:
            self._plugins.stream_sources[source].check_params(params)
        except InvalidValue as error:
            key = error.field if error.field.startswith("params") else f"params.{error.field}"
            table.complain(key, error.expected, None if error.found is None else repr(error.found))
        # foreign code: whatever it raises means that it cannot work with these parameters
        except Exception as error:
            table.complain(
                "params",
                f"parameters that signal source {source} can read",
                f"its {type(error).__name__}",
            )

    # Followers and subscriptions

    def _read_followers(self) -> Iterator[FollowerDeclaration]:
        names_found: list[tuple[str, str]] = []
        logins: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}
        for table in self._tables("follower"):
            names = self._names(table, "name")
            names_found += [(table.path, name) for name in names]
            self._followers.update(names)
            exchange = table.choice("exchange", sorted(self._places))
            if "strategy" in table.values:
                self._subscribe(table, names)
            else:
                self._refuse_policy_alone(table)
            if exchange is None or not names:
                continue
            place = self._places[exchange]
            if place.refused:
                table.complain("exchange", place.refused, exchange)
            count = len(names) if "count" in table.values else None
            credentials = read_credentials(table, place.credential_fields, place.environment, count)
            for name, given in zip(
                names, credentials, strict=False
            ):  # no credentials: their problem is already reported
                login = (
                    exchange,
                    tuple(sorted((key, each.reveal()) for key, each in given.items())),
                )
                other = logins.setdefault(login, name)
                if other != name:
                    expected = (
                        "a login of its own for each follower (two on one exchange account would "
                        "undo each other's positions)"
                    )
                    table.complain("", expected, f"{name} with the login of {other}")
                yield FollowerDeclaration(
                    path=table.path,
                    name=name,
                    exchange=exchange,
                    environment=place.environment,
                    credentials=given,
                )
        self._refuse_doubles("follower", names_found)

    def _names(self, table: Table, key: str) -> list[str]:
        """Read a name or a template of names; empty after recording a problem."""
        count = table.read("count", parse_count) if "count" in table.values else None
        if count is None and "count" in table.values:
            return []

        def parse(value: object, field: str) -> list[str]:
            if not isinstance(value, str):
                raise InvalidValue(field, "a name in quotes", value)
            if count is None and "{" in value:
                raise InvalidValue(field, "a name without braces, or a count beside it", value)
            return [parse_name(each, field) for each in numbered(value, count, field)]

        return table.read(key, parse) or []

    def _refuse_policy_alone(self, table: Table) -> None:
        for key in POLICY_KEYS:
            if key in table.values:
                table.complain(
                    key, "strategy beside it (or a [[subscription]] that carries it)", "no strategy"
                )

    def _read_subscription(self, table: Table) -> None:
        names = self._names(table, "follower")
        strangers = [name for name in names if name not in self._followers]
        if strangers:
            table.complain(
                "follower", "a follower of this file or of this installation", repr(strangers[0])
            )
        self._subscribe(table, [] if strangers else names)

    def _subscribe(self, table: Table, followers: Sequence[str]) -> None:
        name = table.choice("strategy", sorted(self._strategies))
        if name is None:
            return
        strategy = self._strategies[name]
        policy = read_policy(
            table,
            None if strategy is None else strategy.symbols,
            None if strategy is None else strategy.leverage,
        )
        if policy is not None:
            self._subscriptions += [
                SubscriptionDeclaration(table.path, follower, name, policy)
                for follower in followers
            ]


def known_strategies(rows: Sequence[Any]) -> dict[str, KnownStrategy]:
    """Return what followers of the ledger's strategies must fit, by name."""
    return {row.name: KnownStrategy(row.symbols, row.leverage) for row in rows}
