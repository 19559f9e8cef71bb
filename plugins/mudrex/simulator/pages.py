"""Lists of the SIMULATED exchange: the rows that have appeared, newest first, by page, and invented
rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from plugins.mudrex.simulator.messages import Request
from plugins.mudrex.simulator.switches import Switches
from plugins.mudrex.simulator.values import Account, number

Rows = Sequence[Mapping[str, object]]
SHORT_PAGE: Final = 10
"""The default page length of contracts and fees; the other lists give 20 rows."""
PAGE: Final = 20
LONG_AGO: Final = "2026-01-05T08:00:00Z"
NEVER_SEEN: Final[Mapping[str, tuple[Mapping[str, object], ...]]] = {
    "orders": (
        {
            "id": "strange-1",
            "symbol": "SOLUSDT",
            "status": "PARKED",
            "order_type": "LONG",
            "quantity": 1,
            "created_at": LONG_AGO,
        },
        {
            "id": "strange-2",
            "symbol": "SOLUSDT",
            "status": "FILLED",
            "order_type": "TWAP",
            "quantity": 1,
            "created_at": "5 Oct, 08:00",
        },
    ),
    "closed": (
        {"id": "strange-3", "symbol": "SOLUSDT", "status": "MOVED", "created_at": LONG_AGO},
    ),
    "fees": (
        {
            "id": "strange-4",
            "symbol": "SOLUSDT",
            "fee_type": "BONUS",
            "fee_amount": "free",
            "created_at": LONG_AGO,
        },
    ),
}


def born(
    rows: Iterable[Mapping[str, object]], now: float, *, by_opening: bool = False
) -> list[dict[str, object]]:
    """Return the rows that have appeared, newest (or newest opened) first, without hidden ones."""
    visible = [each for each in rows if float(str(each.get("_born", 0))) <= now]
    visible.sort(key=lambda each: float(str(each.get("_opened" if by_opening else "_born", 0))))
    return [
        {key: value for key, value in each.items() if not key.startswith("_")}
        for each in reversed(visible)
    ]


def with_strange(
    name: str, rows: Rows, account: Account, switches: Switches
) -> list[Mapping[str, object]]:
    """Return a list with the rows added by hand, and the rows with unknown words, at its head."""
    unseen = NEVER_SEEN.get(name, ()) if switches.strange_rows else ()
    return [*account.strange.get(name, ()), *unseen, *rows]


def decoys_of(row: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return rows that only resemble the row of a closing call."""
    short, other = str(row["id"])[:-4], str(row["position_id"])[:-4] + "dec0"
    half = float(str(row["quantity"])) / 2
    other_side = "LONG" if row["order_type"] == "SHORT" else "SHORT"
    return [
        {**row, "id": f"{short}dec1", "position_id": other, "future_position_uuid": other},
        {
            **row,
            "id": f"{short}dec2",
            "quantity": half,
            "filled_quantity": half if row["filled_quantity"] else 0,
        },
        {**row, "id": f"{short}dec3", "order_type": other_side},
    ]


def paged(
    rows: Rows, request: Request, switches: Switches, default: int = PAGE, meaning: str = "rows"
) -> list[Mapping[str, object]]:
    """Return a page. ``meaning`` is the meaning of its offset: a number of rows, the newest time in
    milliseconds, or nothing.
    """
    limit = int(number({"n": request.first("limit", str(default))}, "n", Decimal(default)))
    offset = int(number({"n": request.first("offset", "0")}, "n", Decimal(0)))
    page: Rows = rows
    if offset and meaning == "time":
        page = [each for each in rows if _milliseconds(each.get("created_at")) <= offset]
    elif meaning == "rows" and offset < 1_000_000_000:
        page = rows[offset:]
    return list(page[: min(limit, switches.page_rows_max or limit)])


def _milliseconds(time: Any) -> float:
    try:
        return datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp() * 1000
    except ValueError:
        return 0.0
