"""Read what people are shown of the books: both sides' quantities, what was closed by position, the
wallet's lines, what is not settled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from engine.decisions.books_check import ClosedParts, Quantities
from engine.decisions.wallet import Line
from engine.domain.amounts import EXACT, FINEST, ZERO
from engine.domain.booking import BookState
from engine.domain.identifiers import AccountId
from engine.ledger.books import OWNER
from engine.ledger.codec import from_us, to_us
from engine.ledger.query import Database, fetch_all
from engine.ledger.wallet import WalletRow, read_wallet, sums, wallet_rows

SHOWN_MAX = 100


def quantities(
    db: Database, account: AccountId, there: dict[str, tuple[str, Decimal]] | None
) -> list[Quantities]:
    """Read every contract that the books, a strategy or the exchange has something open in;
    ``there`` None: not read.
    """
    names: dict[str, str] = dict(fetch_all(db, "SELECT id, name FROM strategy"))
    books = {
        (row[0], row[1], row[2]): Decimal(row[3])
        for row in fetch_all(
            db,
            "SELECT strategy_id, symbol, side, quantity FROM book WHERE account_id = ?",
            (account,),
        )
    }
    shares = {
        (row[0], row[1], row[2]): Decimal(row[3])
        for row in fetch_all(
            db,
            "SELECT strategy_id, symbol, side, share FROM holding WHERE account_id = ? AND share "
            "!= '0'",
            (account,),
        )
    }
    keys = {key for key in {*books, *shares} if key[0] != OWNER}
    alone = {(symbol, side) for _, symbol, side in books} | {
        (symbol, side) for symbol, (side, _) in (there or {}).items()
    }
    alone -= {(symbol, side) for _, symbol, side in keys}
    rows = []
    for strategy, symbol, side in sorted(keys | {(OWNER, *each) for each in alone}):
        seen = (
            None
            if there is None
            else next(
                (amount for where, amount in [there.get(symbol, ("", ZERO))] if where == side), ZERO
            )
        )
        ours = (strategy, symbol, side)
        booked = ZERO if strategy == OWNER else books.get(ours, ZERO)
        name = "" if strategy == OWNER else names.get(strategy, strategy)
        rows.append(
            Quantities(
                symbol=symbol,
                side=side,
                strategy=name,
                books=booked,
                share=shares.get(ours, ZERO),
                owner=books.get((OWNER, symbol, side), ZERO),
                exchange=seen,
            )
        )
    return rows


def closed_parts(db: Database, account: AccountId, since: datetime) -> list[ClosedParts]:
    """Read what was closed since a time, by the exchange's position; only positions with an id."""
    rows = fetch_all(
        db,
        "SELECT fill.position_id, trade.id, fill.quantity, fill.price, trade.gross, "
        "fill.strategy_id FROM fill"
        " JOIN trade ON trade.fill_id = fill.id WHERE fill.account_id = ? AND fill.seen_us >= ? "
        "AND fill.position_id != ''"
        " AND trade.state != 'old' ORDER BY fill.id",
        (account, to_us(since)),
    )
    grouped: dict[str, list[tuple[int, Decimal, Decimal | None, Decimal | None, str]]] = {}
    for position, trade, quantity, price, gross, strategy in rows:
        part = (
            trade,
            Decimal(quantity),
            None if price is None else Decimal(price),
            None if gross is None else Decimal(gross),
            strategy,
        )
        grouped.setdefault(position, []).append(part)
    closed = []
    for position, parts in grouped.items():
        ours = [each for each in parts if each[4] != OWNER]
        values = [EXACT.multiply(each[1], each[2]) for each in ours if each[2] is not None]
        gross = [each[3] for each in ours if each[3] is not None]
        closed.append(
            ClosedParts(
                position_id=position,
                trades=tuple(each[0] for each in ours),
                quantity=sum((each[1] for each in ours), ZERO),
                exit_value=sum(values, ZERO) if len(values) == len(ours) else None,
                gross=sum(gross, ZERO) if len(gross) == len(ours) else None,
                whole=len(ours) == len(parts),
            )
        )
    return closed


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksSummary:
    """An account's books as the ledger has them: each line of its wallet since ``since``, visible
    rows, what is not settled.

    ``fees`` are net of rebates. ``since`` is None before the first reading.
    """

    since: datetime | None
    results: Decimal
    owner: Decimal
    fees: Decimal
    funding: Decimal
    unexplained: Decimal
    rows: tuple[WalletRow, ...]
    open_fills: int
    unexplained_fills: int

    @property
    def change(self) -> Decimal:
        """Return the change of the wallet: the sum of all lines."""
        gained = EXACT.add(EXACT.add(self.results, self.owner), self.unexplained)
        return EXACT.subtract(EXACT.subtract(gained, self.fees), self.funding)


def books_summary(db: Database, account: AccountId) -> BooksSummary:
    """Read a summary of an account's books."""
    wallet, lines = read_wallet(db, account), sums(db, account)
    counts: dict[str, int] = dict(
        fetch_all(
            db,
            "SELECT state, count(*) FROM fill WHERE account_id = ? AND state IN ('open', "
            "'unexplained') GROUP BY 1",
            (account,),
        )
    )
    fees = EXACT.add(lines.get(Line.ORDER_FEES, ZERO), lines.get(Line.FEE_ROWS, ZERO))
    return BooksSummary(
        since=None if wallet is None else wallet.since,
        results=lines.get(Line.RESULTS, ZERO),
        owner=lines.get(Line.OWNER, ZERO),
        fees=fees,
        funding=lines.get(Line.FUNDING, ZERO),
        unexplained=lines.get(Line.UNEXPLAINED, ZERO),
        rows=tuple(wallet_rows(db, account)),
        open_fills=counts.get(BookState.OPEN.value, 0),
        unexplained_fills=counts.get(BookState.UNEXPLAINED.value, 0),
    )


def count_unfolded(db: Database, account: AccountId) -> int:
    """Count an account's fills that are not yet folded into trades."""
    return int(
        fetch_all(
            db,
            "SELECT count(*) FROM fill INDEXED BY fill_unfolded_of WHERE account_id = ? AND "
            "folded = 0",
            (account,),
        )[0][0]
    )


@dataclass(frozen=True, slots=True)
class Booked:
    """What is known by now of the fills of one order of ours; None if the exchange has not reported
    it for all of them.

    ``fee`` is net of rebates.
    """

    price: Decimal | None
    fee: Decimal | None


def booked(db: Database, attempt: int) -> Booked:
    """Read the average price and the fee of what one order filled."""
    rows = fetch_all(
        db,
        "SELECT fill.quantity, fill.fee, fill.rebate, fill.price, attempt.filled, attempt.fee FROM "
        "attempt LEFT JOIN fill ON fill.attempt_id = attempt.id WHERE attempt.id = ?",
        (attempt,),
    )
    (filled, told), fills = rows[0][4:], [row for row in rows if row[0] is not None]
    price = None
    if fills and all(row[3] is not None for row in fills):
        cost = sum((EXACT.multiply(Decimal(row[0]), Decimal(row[3])) for row in fills), ZERO)
        price = EXACT.divide(cost, sum((Decimal(row[0]) for row in fills), ZERO)).quantize(FINEST)
    return Booked(price, net_fee(filled, told, [row[:3] for row in fills]))


def net_fee(filled: str, told: str, fills: Sequence[Sequence[str | None]]) -> Decimal | None:
    """Return what an order has cost, net of rebates: the sum of its fills' fees. ``fills`` are
    quantity, fee and rebate of each. None if nothing filled, or while one of the fees is not known.

    ``told``, the fee that came with the order itself, counts where not all that filled is in its
    fills: what an exit closed beyond the strategy's share, and orders of before 0.2.
    """
    fees = [fee for _, fee, _ in fills if fee is not None]
    if len(fees) < len(fills):
        return None
    rest = sum((Decimal(rebate) for *_, rebate in fills if rebate is not None), ZERO)
    covered = sum((Decimal(quantity) for quantity, *_ in fills if quantity is not None), ZERO)
    if fills and covered >= Decimal(filled):
        return sum(map(Decimal, fees), rest)
    return EXACT.add(Decimal(told), rest) if Decimal(told) else None


def unsettled_rows(db: Database, account: AccountId) -> list[dict[str, object]]:
    """Read fills that lack something, newest first, for people."""
    rows = fetch_all(
        db,
        "SELECT fill.id, coalesce(strategy.name, ''), symbol, side, is_entry, quantity, price, "
        "fee, rebate, cause, at_us, fill.state"
        " FROM fill LEFT JOIN strategy ON strategy.id = fill.strategy_id WHERE account_id = ? AND "
        "fill.state IN ('open', 'unexplained')"
        " ORDER BY fill.id DESC LIMIT ?",
        (account, SHOWN_MAX),
    )
    return [
        {
            "fill": row[0],
            "strategy": row[1],
            "symbol": row[2],
            "side": row[3],
            "is_entry": bool(row[4]),
            "quantity": row[5],
            "lacks": [
                name
                for name, value in (("price", row[6]), ("fee", row[7]), ("cause", row[9]))
                if value in (None, "unexplained")
            ],
            "at": from_us(row[10]).isoformat(),
            "state": row[11],
        }
        for row in rows
    ]
