"""The command behind an operator's page of one account: its money, positions and terms, its newest
outcomes and orders. That an operator looked is noted, and its owner is told.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from engine.commands.auditing import recorder
from engine.commands.parameters import Reads, Run, jsonable, no_such, text
from engine.context import EngineContext
from engine.decisions.risk import equity, marks_of_today, total
from engine.domain.account import AccountReport
from engine.domain.amounts import EXACT, plain
from engine.domain.errors import NothingThere
from engine.ledger import Database
from engine.ledger.equity import read_equity_marks
from engine.ledger.following import AgreementRow, CopyRow, agreements_of
from engine.ledger.history import HistoryRow, Key, Kind, read_history
from engine.ledger.identity import person
from engine.ledger.looking import has_looked, note_look
from engine.ledger.people import AccountRow, account_named, accounts
from engine.services.terms_form import terms_fields

ROWS: Final = 10
_NEWEST: Final = 2**62


async def _account_view(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return what an operator sees of an account; ``before_order`` and ``before_signal`` are where
    older rows begin. The look is noted, whatever the page says of itself.
    """
    name, db = text(params, "name"), context.ledger.db
    row = account_named(db, name)
    if row is None or row.ended_at is not None:
        raise NothingThere(no_such("account", name, [each.name for each in accounts(db)]))
    await _note(context, params, row)
    outcomes, older_signal = _page(db, Kind.SIGNALS, row, (_before(params, "before_signal"), ""))
    orders, older_order = _page(db, Kind.ORDERS, row, (_before(params, "before_order"),))
    return {
        "owner": person(db, row.person).name,
        "created_at": None if row.created_at is None else row.created_at.isoformat(),
        "money": _money(context, row),
        "terms": [
            _agreed(each) for each in agreements_of(db, row.person) if each.account == row.id
        ],
        "outcomes": outcomes,
        "older_signal": older_signal,
        "orders": orders,
        "older_order": older_order,
    }


async def _note(context: EngineContext, params: dict[str, Any], row: AccountRow) -> None:
    by, at = text(params, "by", "operator"), context.clock.now()
    if has_looked(context.ledger.db, row.id, by, at):
        return
    record = await recorder(context, params)

    def write(db: Database) -> None:
        if note_look(db, row.id, by, at):
            record(db, by, "account_viewed", row.name, {})

    await context.ledger.write(write)


def _money(context: EngineContext, row: AccountRow) -> dict[str, Any] | None:
    """Return what the newest reading reported, None without one. ``is_old``: the account cannot be
    read now.
    """
    task = None if context.live is None else context.live.named(row.name)
    report = None if task is None else task.account.last_report
    if task is None or report is None:
        return None
    worth = equity(report)
    marks = marks_of_today(
        read_equity_marks(context.ledger.db, row.id, context.config.engine.trading_day_zone),
        context.clock.now(),
    )
    return {
        "equity": plain(worth),
        "available": plain(report.balance.available),
        "currency": report.balance.currency,
        "day_start": None if marks is None else plain(marks.day_start),
        "day_result": None if marks is None else plain(EXACT.subtract(worth, marks.day_start)),
        "open_pnl": plain(total(*(each.unrealised_profit for each in report.positions))),
        "as_of": report.as_of.isoformat(),
        "is_old": report is not task.account.report,
        "positions": _positions(report),
        "open_orders": len(report.open_orders),
        "unreadable": [f"{each.what} {each.symbol or each.id}" for each in report.unreadable],
    }


def _positions(report: AccountReport) -> list[dict[str, Any]]:
    names = (
        "quantity",
        "entry_price",
        "mark_price",
        "leverage",
        "margin",
        "unrealised_profit",
        "stop_loss",
        "take_profit",
    )
    return [
        {
            "symbol": each.symbol,
            "side": each.side.value,
            **{name: _plain(getattr(each, name)) for name in names},
        }
        for each in report.positions
    ]


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _agreed(agreed: AgreementRow) -> dict[str, Any]:
    return {
        "strategy": agreed.strategy_name,
        "state": agreed.state.value,
        "needs_consent": agreed.needs_consent,
        "takes_entries": agreed.takes_entries,
        "terms": terms_fields(agreed.policy),
    }


def _page(
    db: Database, kind: Kind, row: AccountRow, before: Key
) -> tuple[list[dict[str, Any]], int | str | None]:
    """Return a page of a history, newest first, and where the next one begins; None at the end."""
    least: Key = (0, "") if kind is Kind.SIGNALS else (0,)
    read = read_history(db, kind, row.id, (least, before), ROWS + 1, newest_first=True)
    shown = [{"key": key[0], **jsonable(each), **_words(each)} for key, each in read[:ROWS]]
    return shown, shown[-1]["key"] if len(read) > ROWS else None


def _words(row: HistoryRow) -> dict[str, Any]:
    return {"sentence": row.sentence} if isinstance(row, CopyRow) else {}


def _before(params: dict[str, Any], name: str) -> int:
    value = params.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else _NEWEST


ACCOUNT_VIEW: Final[Mapping[str, Run]] = {"account_view": Reads(_account_view)}
"""The command of an operator's page of one account."""
