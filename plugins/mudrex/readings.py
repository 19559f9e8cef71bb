"""Read one account's lists page by page: orders, positions, closed positions, fees. A complete list
is proven complete.

The exchange may give fewer rows than asked for, and does not say so. A list is complete if a page
after its last row is empty, or if it reaches back past the asked time. An ``offset`` counts rows;
for the order history, sources disagree: it may be a time, or ignored.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from plugins.mudrex import parsing, rows
from plugins.mudrex.limits import (
    HISTORY_ROWS,
    LEAST_FEE_ROWS,
    LEAST_PAGE_ROWS,
    PAGE_ROWS,
    PAGES_MAX,
)
from plugins.mudrex.requests import CURRENCY
from plugins.mudrex.rows import ROUNDED, Read
from plugins.mudrex.shared import answered, data_in
from rexalgo import (
    ClosedPosition,
    ClosedPositions,
    ExchangeError,
    FeeHistory,
    HttpClient,
    OrderHistory,
    OrderReport,
    Symbol,
)

ORDERS: Final = "/v1/futures/orders"
ORDER_HISTORY: Final = "/v1/futures/orders/history"
POSITIONS: Final = "/v1/futures/positions"
CLOSED: Final = "/v1/futures/positions/history"
FEES: Final = "/v1/futures/fee/history"
Enough = Callable[[list[Any]], bool]


class End(Enum):
    """The reason why reading a list stopped."""

    ENOUGH = "enough"
    """The rows contain what was looked for."""
    EMPTY = "empty"
    """There is nothing after the last row."""
    REPEATED = "repeated"
    """The next page showed the same rows: the exchange ignored the offset."""
    CUT = "cut"
    """The list continues, but the reading reached its limit."""


class Readings:
    """The lists of one account."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self.answered_at: datetime | None = None
        """The exchange's clock in its newest answer, cut to the second; None without a Date."""

    async def read(self, path: str, **query: str) -> Any:
        """Read one path with this account's key."""
        answer = await answered(self._http, path, **query)
        self.answered_at = parsing.date_of(answer.headers.get("date"))
        return data_in(answer, path)

    async def page(self, path: str, limit: int, offset: int = 0) -> list[Any]:
        """Read one page of a list. Raise ExchangeError if it is not a list."""
        query = {"trade_currency": CURRENCY, "limit": str(limit)} | (
            {"offset": str(offset)} if offset else {}
        )
        try:
            return parsing.rows_of(await self.read(path, **query))
        except ValueError as error:
            raise ExchangeError(
                f"the exchange's answer to {path} cannot be read: {error}"
            ) from None

    async def _pages(
        self, path: str, enough: Enough, limit: int = PAGE_ROWS
    ) -> tuple[list[Any], End]:
        """Read a list until it is enough or ends. Return each row once."""
        raw_rows: list[Any] = []
        for _ in range(PAGES_MAX):
            page = await self.page(path, limit, len(raw_rows))
            more = rows.once([*raw_rows, *page])
            if enough(more):
                return more, End.ENOUGH
            if not page:
                return more, End.EMPTY
            if len(more) == len(raw_rows):
                return more, End.REPEATED
            raw_rows = more
        return raw_rows, End.CUT

    async def whole(self, path: str, enough: Enough = lambda _: False) -> list[Any]:
        """Read a list of current rows completely (or until it is enough). Raise ExchangeError if
        completeness is unknown.
        """
        first = True

        def is_all(raw_rows: list[Any]) -> bool:
            nonlocal first
            is_last, first = first and len(raw_rows) < LEAST_PAGE_ROWS, False
            return is_last or enough(raw_rows)

        raw_rows, end = await self._pages(path, is_all)
        if end in (End.REPEATED, End.CUT):
            raise ExchangeError(
                f"the exchange shows {len(raw_rows)} rows of {path}, and not whether they are all"
            )
        return raw_rows

    # Orders

    async def newest_orders(self) -> Read[OrderReport]:
        """Read the newest page of the order history."""
        return rows.orders(await self.page(ORDER_HISTORY, LEAST_PAGE_ROWS))

    async def orders_since(self, symbol: Symbol, since: datetime) -> OrderHistory:
        """Read resting and done orders; complete if that is proven. An order may move from one list
        to the other meanwhile.
        """
        floor = since - ROUNDED
        resting = await self.whole(ORDERS)
        past, end = await self._pages(ORDER_HISTORY, _reaches(floor), HISTORY_ROWS)
        is_whole = end is End.ENOUGH or (end is End.REPEATED and len(past) < LEAST_PAGE_ROWS)
        if end is End.EMPTY:
            is_whole = len(past) < LEAST_PAGE_ROWS or await self._ends_by_time(past)
        read = rows.orders([*past, *resting])  # the history's row is the newer one
        matching = [
            each for each in read.values if each.symbol == symbol and each.created_at >= floor
        ]
        unreadable = tuple(each.row for each in read.unread if each.may_be(since, symbol))
        newest_first = sorted(matching, key=lambda each: each.created_at, reverse=True)
        return OrderHistory(tuple(newest_first), is_whole and not unreadable, read.unreadable)

    async def _ends_by_time(self, raw_rows: list[Any]) -> bool:
        """Return whether there is nothing older, in case the history's offset is a time in
        milliseconds.
        """
        times = [at for each in raw_rows if (at := rows.time_of(each, "created_at")) is not None]
        until = (min(times) + timedelta(seconds=1)).timestamp() * 1000 if times else 0
        older = await self.page(ORDER_HISTORY, HISTORY_ROWS, int(until))
        return bool(until) and len(rows.once([*raw_rows, *older])) == len(raw_rows)

    # Closed positions

    async def closed_since(self, since: datetime, position_ids: Collection[str]) -> ClosedPositions:
        """Read the positions closed since a time, and the named ones.

        The newest opened come first, so only the whole list is complete. Read it until every named
        position is there, or only older ones follow. Without named positions, one long page is
        enough.
        """
        raw_rows, end = await self._pages(
            CLOSED,
            _holds(position_ids)
            if position_ids
            else lambda raw_rows: len(raw_rows) >= LEAST_PAGE_ROWS,
        )
        read = rows.read_each("closed position", raw_rows, rows.closed_position)
        positions = [
            each
            for each in read.values
            if each.closed_at >= since - ROUNDED or each.position_id in position_ids
        ]
        is_whole = end is End.EMPTY or (end is End.REPEATED and len(raw_rows) < LEAST_PAGE_ROWS)
        looked_through = is_whole or (end is End.ENOUGH and bool(position_ids))
        return ClosedPositions(
            tuple(positions),
            is_whole and not read.hides(since),
            read.unreadable,
            _lacking(position_ids, raw_rows) if looked_through else frozenset(),
        )

    async def closed_now(self, position_id: str) -> ClosedPosition | None:
        """Look for one closed position, down to where only older ones follow."""
        raw_rows, _ = await self._pages(CLOSED, _holds([position_id]))
        read = rows.read_each("closed position", raw_rows, rows.closed_position)
        return next((each for each in read.values if each.position_id == position_id), None)

    # Fees

    async def fees_since(self, since: datetime) -> FeeHistory:
        """Read the fee history back to a time, newest first."""
        raw_rows, end = await self._pages(FEES, _reaches(since - ROUNDED))
        read = rows.read_each("fee", raw_rows, rows.fee)
        is_whole = end in (End.ENOUGH, End.EMPTY) or (
            end is End.REPEATED and len(raw_rows) < LEAST_FEE_ROWS
        )
        reports = sorted(
            (each for each in read.values if each.at >= since),
            key=lambda each: each.at,
            reverse=True,
        )
        return FeeHistory(tuple(reports), is_whole and not read.hides(since), read.unreadable)


def _reaches(floor: datetime) -> Enough:
    """Return whether rows, newest first, end before a time. A single old row further up proves
    nothing.
    """

    def past(raw_rows: list[Any]) -> bool:
        times = (rows.time_of(each, "created_at") for each in reversed(raw_rows))
        last = next((each for each in times if each is not None), None)
        return last is not None and last < floor

    return past


def _lacking(position_ids: Collection[str], raw_rows: list[Any]) -> frozenset[str]:
    """Return which positions no row is about. A row that names none may be about each that was not
    opened after it: older rows do not name theirs.
    """
    named = set[str]()
    nameless: list[datetime | None] = []
    for row in raw_rows:
        about = row.get("position_id") if isinstance(row, dict) else None
        if isinstance(about, str) and about:
            named.add(about)
        else:
            nameless.append(rows.time_of(row, "created_at"))
    return frozenset(
        each
        for each in position_ids
        if each not in named
        and all(_is_before(opened_at, parsing.minted_at(each)) for opened_at in nameless)
    )


def _is_before(opened_at: datetime | None, minted_at: datetime | None) -> bool:
    return opened_at is not None and minted_at is not None and opened_at < minted_at - 2 * ROUNDED


def _holds(position_ids: Collection[str]) -> Enough:
    """Return whether rows, newest opened first, contain each named position that they can."""
    born = {each: parsing.minted_at(each) for each in position_ids}

    def all_there(raw_rows: list[Any]) -> bool:
        ids = {each.get("position_id") for each in raw_rows if isinstance(each, dict)}
        return all(
            each in ids or (at is not None and _reaches(at - 2 * ROUNDED)(raw_rows))
            for each, at in born.items()
        )

    return all_there
