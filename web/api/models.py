"""What the API answers, as plain values: the read models of the pages, written for programs.

Nothing is computed here. Money, prices and quantities are decimal numbers as text, without exponent;
times are UTC; None is not known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Final, Literal

from msgspec import Meta

from engine.domain.account import Environment
from engine.domain.alert import Alert as AlertTold
from engine.domain.amounts import plain
from engine.domain.message import How, MessageKind
from engine.domain.outcome import EXPLANATIONS
from engine.domain.person import Role
from engine.domain.preflight import Level, Preflight
from engine.domain.strategy import StrategyState
from engine.domain.subscription import (
    SIZING_FIELD,
    BelowMinimum,
    LeverageMode,
    Mode,
    SubscriptionState,
    write_leverage,
    write_limits,
    write_sizing,
)
from engine.domain.token import TokenScope
from engine.services.agreeing import Meaning
from engine.services.following import AccountCard, PositionRow
from engine.services.history import HistoryPage, write_key
from engine.services.performance import Compared
from engine.services.read_models import (
    AgreementRow,
    ClosedTrade,
    CopyRow,
    FundingPaid,
    MissedWeek,
    OrderRow,
    Totals,
)
from engine.services.telling import ChannelView
from engine.services.user import User
from engine.views import Lack, RestingView, StillOpenView, WhyView

_HUNDREDTH: Final = Decimal("0.01")
Amount = Annotated[
    str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="A decimal number without exponent.")
]
Time = Annotated[datetime, Meta(tz=True, description="A time in UTC.")]


def amount(value: Decimal) -> str:
    """Return a number as text."""
    return plain(value)


def amount_or_none(value: Decimal | None) -> str | None:
    """Return a number as text, None where it is not known."""
    return None if value is None else plain(value)


def rounded(value: Decimal) -> str:
    """Return a quotient as text with two decimals, as pages show it: it may have no end."""
    return plain(value.quantize(_HUNDREDTH))


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """Why a request was refused: a code for programs, and a sentence for people. ``fields`` is there
    if parameters are wrong: what was expected of each, by its name.
    """

    ok: Literal[False]
    error: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What was asked is recorded. ``repeated``: it was done under the same Idempotency-Key before,
    and nothing was done again.
    """

    ok: Literal[True]
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """The token of this request."""

    name: str
    scope: TokenScope
    expires_at: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who asks. ``nothing_sent`` says that no order leaves now, and why; empty where all is well."""

    name: str
    roles: tuple[Role, ...]
    zone: str
    token: Token
    nothing_sent: str


def me_of(user: User, nothing_sent: str) -> Me:
    """Return who asks."""
    assert user.token is not None, "the API is asked with a token"
    return Me(
        name=user.person.called,
        roles=tuple(sorted(user.person.roles, key=lambda each: each.value)),
        zone=user.person.zone,
        token=Token(name=user.token.name, scope=user.token.scope, expires_at=user.token.expires_at),
        nothing_sent=nothing_sent,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What only you can do: what it is, what to do, and the page for it."""

    what: str
    do: str
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What needs you, the account that needs you most first."""

    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """The sums over your accounts of one environment; environments are never added up. ``read`` of
    ``accounts`` are in them, ``stale`` of these with an old reading: they cannot be read now.
    ``todays_pnl`` is of the accounts that were read today; deposits and withdrawals are in it.
    """

    environment: Environment
    accounts: int
    read: int
    stale: int
    equity: Amount
    open_pnl: Amount
    todays_pnl: Amount | None
    todays_percent: Amount | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One thing that was checked at the exchange; ``do`` is empty if nothing is to be done."""

    level: Level
    about: str
    sentence: str
    do: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Whether an account can copy, by its newest reading, made at ``at``; ``level`` is that of its
    worst item.
    """

    at: Time
    level: Level
    items: tuple[Checked, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One connected account. ``state`` with ``why`` and what to ``do`` is what its page says.

    Money is of ``read_at``, the newest reading; ``is_stale``: it cannot be read now.
    ``day_start`` is the equity with which the trading day began, at ``day_since``. ``paused``: you
    stopped its entries here, with ``level``. ``open_shares`` counts what the engine opened and has
    not closed. ``title`` is what you call it, ``check`` what its newest reading comes to (null: not checked yet).
    """

    name: str
    title: str
    exchange: str
    environment: Environment
    state: str
    why: str
    do: str
    equity: Amount | None
    available: Amount | None
    currency: str
    day_start: Amount | None
    day_since: Time | None
    todays_pnl: Amount | None
    open_pnl: Amount | None
    positions: int
    open_shares: int
    read_at: Time | None
    is_stale: bool
    paused: bool
    level: str
    strategies: tuple[str, ...]
    check: Check | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Your connected accounts, the one that most needs you first; ``former`` are the names under
    which those that you disconnected are read.
    """

    totals: tuple[Total, ...]
    accounts: tuple[Account, ...]
    former: tuple[str, ...]


def total_of(total: Totals) -> Total:
    """Return the sums over the accounts of one environment."""
    return Total(
        environment=Environment(total.environment),
        accounts=total.accounts,
        read=total.read,
        stale=total.stale,
        equity=amount(total.equity),
        open_pnl=amount(total.open_pnl),
        todays_pnl=amount_or_none(total.todays_pnl),
        todays_percent=amount_or_none(total.todays_percent),
    )


def account_of(card: AccountCard, titles: Mapping[str, str]) -> Account:
    """Return one account; ``titles`` are what its owner calls accounts, by name."""
    return Account(
        name=card.row.name,
        title=titles.get(card.row.name, card.row.name),
        exchange=card.row.exchange,
        environment=Environment(card.row.environment),
        state=card.told.state.value,
        why=card.told.why,
        do=card.told.do,
        equity=amount_or_none(card.equity),
        available=amount_or_none(card.available),
        currency=card.currency,
        day_start=amount_or_none(card.day_start),
        day_since=card.day_since,
        todays_pnl=amount_or_none(card.day_result),
        open_pnl=amount_or_none(card.open_pnl),
        positions=card.positions,
        open_shares=card.open_shares,
        read_at=card.read_at,
        is_stale=card.stale,
        paused=card.paused_here,
        level=card.level,
        strategies=tuple(each.strategy for each in card.agreements),
        check=None if card.check is None else _check(card.check),
    )


def _check(check: Preflight) -> Check:
    return Check(
        at=check.at,
        level=check.level,
        items=tuple(
            Checked(level=each.level, about=each.about, sentence=each.sentence, do=each.do)
            for each in check.items
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenShare:
    """What a strategy still has open in one contract of an account; ``why`` says what becomes of it,
    ``is_asked`` whether its close was asked for. ``entries`` of its entries are on their way.
    """

    strategy: str
    strategy_name: str
    symbol: str
    side: str
    share: Amount
    entries: int
    is_asked: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenShares:
    """What the engine opened on an account and has not closed."""

    account: str
    environment: Environment
    open: tuple[OpenShare, ...]


def open_share_of(view: StillOpenView) -> OpenShare:
    """Return one share that is still open."""
    return OpenShare(
        strategy=view.strategy_id,
        strategy_name=view.strategy,
        symbol=view.symbol,
        side=view.side,
        share=view.share,
        entries=view.entries_open,
        is_asked=view.is_asked,
        why=view.why,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One contract of an account. ``share`` is what ``strategy`` holds, ``own`` what you hold
    besides; the rest is as the exchange last reported it at ``read_at``, at the newest mark price,
    with the engine's own stop and target where the exchange shows none. ``is_stale``: the account
    cannot be read now. ``worth`` is its value at the mark price. ``opened_at`` is when the books were
    last flat, None if they have nothing.
    """

    account: str
    environment: Environment
    symbol: str
    side: str
    strategy: str
    share: Amount
    own: Amount
    quantity: Amount | None
    entry_price: Amount | None
    mark_price: Amount | None
    leverage: Amount | None
    margin: Amount | None
    open_pnl: Amount | None
    roe_percent: Amount | None
    worth: Amount | None
    liquidation_price: Amount | None
    stop_loss: Amount | None
    take_profit: Amount | None
    opened_at: Time | None
    read_at: Time | None
    is_stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingEntry:
    """An entry that rests at the exchange since ``since``, and opens a position if its price comes.
    ``is_ending``: it is being cancelled.
    """

    account: str
    environment: Environment
    strategy: str
    strategy_name: str
    symbol: str
    side: str
    quantity: Amount
    filled: Amount
    limit_price: Amount
    since: Time
    is_ending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """What is open on your accounts, and the entries that rest at the exchange."""

    positions: tuple[Position, ...]
    resting: tuple[RestingEntry, ...]


def resting_entry_of(view: RestingView) -> RestingEntry:
    """Return one entry that rests."""
    return RestingEntry(
        account=view.account,
        environment=Environment(view.environment),
        strategy=view.strategy_id,
        strategy_name=view.strategy,
        symbol=view.symbol,
        side=view.side,
        quantity=amount(view.quantity),
        filled=amount(view.filled),
        limit_price=amount(view.limit_price),
        since=view.since,
        is_ending=view.is_ending,
    )


def position_of(row: PositionRow) -> Position:
    """Return one position."""
    there, ours = row.position, row.holding
    stop = there.stop_loss if there is not None and there.stop_loss is not None else None
    target = there.take_profit if there is not None and there.take_profit is not None else None
    return Position(
        account=row.account,
        environment=Environment(row.environment),
        symbol=row.symbol,
        side=row.side,
        strategy=row.strategy,
        share=amount(row.share),
        own=amount(row.own),
        quantity=None if there is None else amount(there.quantity),
        entry_price=None if there is None else amount(there.entry_price),
        mark_price=None if there is None else amount(there.mark_price),
        leverage=None if there is None else amount(there.leverage),
        margin=None if there is None else amount(there.margin),
        open_pnl=None if there is None else amount(there.unrealised_profit),
        roe_percent=amount_or_none(row.roe_percent),
        worth=amount_or_none(row.worth),
        liquidation_price=None if there is None else amount_or_none(there.liquidation_price),
        stop_loss=amount_or_none(stop or (None if ours is None else ours.stop_loss)),
        take_profit=amount_or_none(target or (None if ours is None else ours.take_profit)),
        opened_at=row.opened_at,
        read_at=row.read_at,
        is_stale=row.is_stale,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One strategy with the figures by which it is compared, None without a closed
    position in the period.

    Percentages are of the margin behind a position, net of fees; it counts once all of it is closed
    and reconciled. A signal counts with the median of its followers; ``per_follower`` is the median
    of what each follower's signals add up to. ``copied_percent`` is the share of copies of the newest
    20 entries that were copied, as a ``Week`` counts them. ``is_cut``: only the newest trades are counted.
    ``days`` is how long ago its first trade closed.
    """

    id: str
    name: str
    master: str
    kind: str
    state: StrategyState
    about: str
    symbols: tuple[str, ...]
    leverage: Amount
    followers: int
    last_signal_at: Time | None
    is_mine: bool
    is_followed: bool
    days: int | None
    signals: int
    trades: int
    per_signal: Amount | None
    per_follower: Amount | None
    max_drawdown: Amount | None
    win_rate: Amount | None
    profit_factor: Amount | None
    copied_percent: Amount | None
    slippage_bps: Amount | None
    delay_ms: int | None
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategies:
    """The strategies that you may see, by name, with figures of one environment; ``environments``
    are those with figures.
    """

    environment: str
    environments: tuple[Environment, ...]
    strategies: tuple[Strategy, ...]


def strategy_of(each: Compared) -> Strategy:
    """Return one strategy with its figures."""
    row, record = each.row, each.record
    return Strategy(
        id=row.id,
        name=row.name,
        master=row.master,
        kind=row.kind,
        state=row.state,
        about=row.about,
        symbols=row.symbols,
        leverage=row.leverage,
        followers=row.followers,
        last_signal_at=row.last_signal_at,
        is_mine=row.is_mine,
        is_followed=row.is_followed,
        days=each.days,
        signals=0 if record is None else record.signals,
        trades=0 if record is None else record.trades,
        per_signal=None if record is None else amount(record.per_signal),
        per_follower=None if record is None else amount(record.per_follower),
        max_drawdown=None if record is None else amount(record.max_drawdown),
        win_rate=None if record is None else amount(record.win_rate),
        profit_factor=None if record is None else amount_or_none(record.profit_factor),
        copied_percent=amount_or_none(each.copied_percent),
        slippage_bps=None if record is None else amount_or_none(record.slippage_bps),
        delay_ms=None if record is None else record.delay_ms,
        is_cut=each.is_cut,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """How an entry is sized: the mode, and its one number."""

    mode: str
    value: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Leverage:
    """The leverage of an entry: how the master's is applied, and the ceiling."""

    mode: LeverageMode
    value: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What you agreed to for one strategy on one account. ``takes_entries``: its entries are copied
    now. ``limits`` names only those that are set.
    """

    account: str
    environment: Environment
    strategy: str
    strategy_name: str
    state: SubscriptionState
    strategy_state: StrategyState
    needs_consent: bool
    takes_entries: bool
    mode: Mode
    sizing: Sizing
    leverage: Leverage
    symbols: tuple[str, ...]
    limits: Mapping[str, str | int]
    below_minimum: BelowMinimum
    allow_own_position: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreements:
    """Your agreements, without those that you left."""

    agreements: tuple[Agreement, ...]


def agreement_of(row: AgreementRow) -> Agreement:
    """Return one agreement with its terms."""
    sizing, leverage = write_sizing(row.policy.sizing), write_leverage(row.policy.leverage)
    return Agreement(
        account=row.account_name,
        environment=Environment(row.environment),
        strategy=row.strategy,
        strategy_name=row.strategy_name,
        state=row.state,
        strategy_state=row.strategy_state,
        needs_consent=row.needs_consent,
        takes_entries=row.takes_entries,
        mode=row.policy.mode,
        sizing=Sizing(mode=sizing["mode"], value=sizing[SIZING_FIELD[sizing["mode"]]]),
        leverage=Leverage(mode=row.policy.leverage.mode, value=leverage["value"]),
        symbols=tuple(sorted(row.policy.symbols)),
        limits=write_limits(row.policy.limits),
        below_minimum=row.policy.below_minimum,
        allow_own_position=row.policy.allow_own_position,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What an entry into one contract would be at the current price; null where that is not known,
    and ``lacks`` says why: the contract is not listed, it has no fresh price, the account was not
    read yet, or only a signal decides. ``trades`` is false where it is below ``smallest``, the exchange's smallest order.
    ``percent`` is the margin in percent of the account.
    """

    symbol: str
    price: Amount | None
    smallest: Amount | None
    value: Amount | None
    margin: Amount | None
    percent: Amount | None
    trades: bool
    lacks: Lack | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneEach:
    """The margin of one entry in each contract, in as many as may be open at once; ``margin`` is
    the largest of them. Each ``add`` is one more entry.
    """

    positions: int
    margin: Amount
    total: Amount
    percent: Amount | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Most:
    """The most margin that entries put in use on the account, each ``add`` with it."""

    total: Amount
    percent: Amount | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """What is out of proportion in terms, and which term it is about."""

    field: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One agreement, and what it means at the current price: each entry, one in each contract (null:
    not known), the most that can be in use (null without a limit of margin: each ``add`` takes
    more), and what is out of proportion.
    """

    agreement: Agreement
    entries: tuple[Entry, ...]
    one_each: OneEach | None
    most: Most | None
    warnings: tuple[Warned, ...]


def terms_of(row: AgreementRow, meaning: Meaning) -> Terms:
    """Return one agreement with what it means now."""
    most, one = meaning.most, meaning.one_each
    return Terms(
        agreement=agreement_of(row),
        entries=tuple(
            Entry(
                symbol=each.symbol,
                price=amount_or_none(each.price),
                smallest=amount_or_none(each.smallest),
                value=amount_or_none(each.value),
                margin=amount_or_none(each.margin),
                percent=amount_or_none(each.percent),
                trades=each.trades,
                lacks=each.lacks,
            )
            for each in meaning.entries
        ),
        one_each=None
        if one is None
        else OneEach(
            positions=one.positions,
            margin=amount(one.margin),
            total=amount(one.total),
            percent=amount_or_none(one.percent),
        ),
        most=None
        if most is None
        else Most(total=amount(most.total), percent=amount_or_none(most.percent)),
        warnings=tuple(
            Warned(field=each.field, sentence=each.sentence) for each in meaning.warnings
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """The outcome of one signal on one account; ``code`` is null while it waits. ``move`` says who
    has to act.
    """

    signal: str
    at: Time
    settled_at: Time | None
    strategy: str
    strategy_name: str
    account: str
    environment: Environment
    action: str
    symbol: str
    side: str | None
    is_test: bool
    code: str | None
    sentence: str
    move: str
    setting: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """A page of signals. ``next`` is the ``past`` of the next page, null on the last; a search may
    answer with fewer rows and go on.
    """

    signals: tuple[Signal, ...]
    next: str | None


def signals_of(page: HistoryPage) -> Signals:
    """Return a page of signals."""
    return Signals(
        signals=tuple(
            Signal(
                signal=each.signal_id,
                at=each.at,
                settled_at=each.settled_at,
                strategy=each.strategy_id,
                strategy_name=each.strategy,
                account=each.account,
                environment=Environment(each.environment),
                action=each.action,
                symbol=each.symbol,
                side=each.side,
                is_test=each.is_test,
                code=each.code,
                sentence=each.sentence,
                move=each.move,
                setting=each.setting,
            )
            for each in page.rows
            if isinstance(each, CopyRow)
        ),
        next=_next(page),
    )


def _next(page: HistoryPage) -> str | None:
    return None if page.past is None else write_key(page.past)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step on the way to an outcome."""

    at: Time
    code: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to send an order; ``price`` and ``fee`` are null until they are known."""

    number: int
    kind: str
    state: str
    side: str
    quantity: Amount
    filled: Amount
    price: Amount | None
    fee: Amount | None
    client_order_id: str
    exchange_order_id: str | None
    cause: str
    claimed_at: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why a signal ended as it did on one account, with every order sent for it. ``now`` is what
    its strategy still has open, ``turn`` as which of the signal's copies it was served.
    """

    signal: str
    at: Time
    strategy_name: str
    account: str
    environment: Environment
    action: str
    symbol: str
    code: str | None
    sentence: str
    numbers: Mapping[str, str]
    move: str
    setting: str | None
    now: str
    turn: int | None
    waited_ms: int | None
    steps: tuple[Step, ...]
    attempts: tuple[Attempt, ...]


def why_of(view: WhyView) -> Why:
    """Return the explanation of one copy."""
    return Why(
        signal=view.signal_id,
        at=view.received_at,
        strategy_name=view.strategy,
        account=view.account,
        environment=Environment(view.environment),
        action=view.action,
        symbol=view.symbol,
        code=view.code,
        sentence=view.sentence,
        numbers=view.numbers,
        move=view.move,
        setting=view.setting,
        now=view.now,
        turn=None if view.turn is None else view.turn.turn,
        waited_ms=None if view.turn is None else view.turn.waited_ms,
        steps=tuple(
            Step(at=each.at, code=each.code, sentence=each.sentence) for each in view.history
        ),
        attempts=tuple(
            Attempt(
                number=each.number,
                kind=each.kind,
                state=each.state,
                side=each.side,
                quantity=each.quantity,
                filled=each.filled,
                price=each.price,
                fee=each.fee,
                client_order_id=each.client_order_id,
                exchange_order_id=each.exchange_order_id,
                cause=each.cause,
                claimed_at=each.claimed_at,
            )
            for each in view.attempts
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order that was claimed for an account. ``fee`` is net of rebates; it is null if nothing
    filled, and until the fee of everything that filled is known.
    """

    at: Time
    account: str
    environment: Environment
    strategy_name: str
    symbol: str
    kind: str
    side: str
    quantity: Amount
    filled: Amount
    price: Amount | None
    fee: Amount | None
    state: str
    cause: str
    signal: str
    client_order_id: str
    exchange_order_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """A page of orders; see ``Signals`` for ``next``."""

    orders: tuple[Order, ...]
    next: str | None


def orders_of(page: HistoryPage) -> Orders:
    """Return a page of orders."""
    return Orders(
        orders=tuple(
            Order(
                at=each.at,
                account=each.account,
                environment=Environment(each.environment),
                strategy_name=each.strategy,
                symbol=each.symbol,
                kind=each.kind,
                side=each.side,
                quantity=each.quantity,
                filled=each.filled,
                price=each.price,
                fee=each.fee,
                state=each.state,
                cause=each.cause,
                signal=each.signal_id,
                client_order_id=each.client_order_id,
                exchange_order_id=each.exchange_order_id,
            )
            for each in page.rows
            if isinstance(each, OrderRow)
        ),
        next=_next(page),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One closed trade; what is null is not known yet or was never reported, and ``state`` says
    which. ``gross`` is its result before ``fees``. ``ended_by`` is how it ended, ``opened_by`` and
    ``closed_by`` are the signals that opened and closed it.
    """

    id: int
    account: str
    environment: Environment
    strategy_name: str
    symbol: str
    side: str
    quantity: Amount
    entry_price: Amount | None
    exit_price: Amount | None
    gross: Amount | None
    fees: Amount | None
    result: Amount | None
    opened_at: Time
    closed_at: Time
    opened_by: str | None
    closed_by: str | None
    ended_by: str | None
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trades:
    """A page of trades; see ``Signals`` for ``next``."""

    trades: tuple[Trade, ...]
    next: str | None


def trades_of(page: HistoryPage) -> Trades:
    """Return a page of trades."""
    return Trades(
        trades=tuple(map(trade_of, (each for each in page.rows if isinstance(each, ClosedTrade)))),
        next=_next(page),
    )


def trade_of(closed: ClosedTrade) -> Trade:
    """Return one closed trade."""
    trade = closed.trade
    return Trade(
        id=trade.id,
        account=trade.account,
        environment=Environment(trade.environment),
        strategy_name=trade.strategy,
        symbol=trade.symbol,
        side=trade.side,
        quantity=trade.quantity,
        entry_price=trade.entry_price,
        exit_price=trade.exit_price,
        gross=amount_or_none(closed.gross),
        fees=amount_or_none(trade.fees),
        result=amount_or_none(trade.result),
        opened_at=trade.opened_at,
        closed_at=trade.closed_at,
        opened_by=closed.opened_by,
        closed_by=closed.closed_by,
        ended_by=None if trade.cause is None else trade.cause.value,
        state=trade.state.value,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One payment of funding; ``paid`` is negative if it was received."""

    id: str
    at: Time
    account: str
    environment: Environment
    strategy_name: str
    symbol: str
    paid: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """A page of payments; see ``Signals`` for ``next``."""

    funding: tuple[Payment, ...]
    next: str | None


def funding_of(page: HistoryPage) -> Funding:
    """Return a page of payments."""
    return Funding(
        funding=tuple(
            Payment(
                id=each.id,
                at=each.at,
                account=each.account,
                environment=Environment(each.environment),
                strategy_name=each.strategy,
                symbol=each.symbol,
                paid=amount(each.amount),
            )
            for each in page.rows
            if isinstance(each, FundingPaid)
        ),
        next=_next(page),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedReason:
    """How often entries of one strategy were missed on one account for one reason; ``setting`` is
    what would change it, null if no setting of yours does. ``result`` is what ``known`` of them would
    have made in USDT, each alone and not traded; null if that is known of none.
    """

    code: str
    setting: str | None
    account: str
    environment: Environment
    strategy: str
    strategy_name: str
    count: int
    known: int
    result: Amount | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """One week from Monday in your time zone: entries that were copied and missed, and why.

    Copied: the order filled, if only in part, or still rests. Tests, what was open already, and
    orders whose result is not known are neither.
    """

    monday: date
    copied: int
    missed: int
    reasons: tuple[MissedReason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """The weeks with entries, newest first."""

    weeks: tuple[Week, ...]


def missed_of(weeks: Sequence[MissedWeek]) -> Missed:
    """Return which entries were missed, by week."""
    return Missed(
        weeks=tuple(
            Week(
                monday=week.monday,
                copied=week.copied,
                missed=week.missed,
                reasons=tuple(
                    MissedReason(
                        code=each.code.value,
                        setting=EXPLANATIONS[each.code].setting,
                        account=each.account,
                        environment=Environment(each.environment),
                        strategy=each.strategy_id,
                        strategy_name=each.strategy,
                        count=each.count,
                        known=each.known,
                        result=amount_or_none(each.result),
                    )
                    for each in week.reasons
                ),
            )
            for week in weeks
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert about your accounts or strategies; ``do`` is what to do about it. ``environment`` is
    that of the account it is about, None if it is about no account.
    """

    number: int
    at: Time
    code: str
    subject: str
    environment: Environment | None
    sentence: str
    do: str
    wakes: bool
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """The newest alerts; ``unseen`` counts those that you have not seen on the page, at most 100."""

    unseen: int
    alerts: tuple[Alert, ...]


def alert_of(alert: AlertTold) -> Alert:
    """Return one alert."""
    return Alert(
        number=alert.number,
        at=alert.at,
        code=alert.code.value,
        subject=alert.subject,
        environment=Environment(alert.environment) if alert.environment else None,
        sentence=alert.sentence,
        do=alert.do,
        wakes=alert.wakes,
        count=alert.count,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel on which you can be told. ``is_connected``: its code came back; ``is_waiting``: it
    waits for its code. ``is_dead``: it has taken nothing for five minutes, because of ``problem``,
    since ``failing_since``. ``waiting`` messages were not taken yet. ``told`` says how each kind is
    told there. ``shown`` names where it goes, without what is secret.
    """

    name: str
    title: str
    is_connected: bool
    is_waiting: bool
    is_dead: bool
    shown: str
    worked_at: Time | None
    failing_since: Time | None
    problem: str
    waiting: int
    told: Mapping[str, How]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """The channels that this installation offers, those that you connected first."""

    channels: tuple[Channel, ...]


def channel_of(view: ChannelView) -> Channel:
    """Return one channel."""
    row = view.row
    return Channel(
        name=view.channel.name,
        title=view.channel.title,
        is_connected=row is not None and not view.is_waiting,
        is_waiting=view.is_waiting,
        is_dead=view.is_dead,
        shown="" if row is None else row.shown,
        worked_at=None if row is None else row.worked_at,
        failing_since=None if row is None else row.failing_since,
        problem="" if row is None else row.problem,
        waiting=view.waiting,
        told={} if row is None else {each.value: row.wants[each] for each in MessageKind},
    )
