"""``rexalgo books check``: both sides of an account's books: quantities, wallet, trades, and what
is not known.
"""

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final

from engine.commands.parameters import Reads, Run, jsonable, no_such, text
from engine.context import EngineContext
from engine.decisions.books_check import (
    LOOK_BACK,
    Examined,
    Problem,
    Verdict,
    check_closed,
    check_quantities,
    there,
    trade_problems,
    verdict_of,
    wallet_problem,
)
from engine.decisions.wallet import Line, at_cost, change_told, unexplained
from engine.domain.amounts import EXACT, plain
from engine.domain.errors import NothingThere
from engine.ledger.books_view import closed_parts, count_unfolded, quantities, unsettled_rows
from engine.ledger.people import AccountRow, accounts
from engine.ledger.wallet import fills_since, is_busy, open_costs, read_wallet, sums, wallet_rows

NOT_READ: Final = Examined(None, None, (), ("the exchange: no server runs here; rexalgo serve",))


async def _books_check(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Compare the books of an account with the exchange; changes nothing."""
    name, db, now = text(params, "name"), context.ledger.db, context.clock.now()
    rows = {each.name: each for each in accounts(db)}
    if name not in rows:
        raise NothingThere(no_such("account", name, sorted(rows)))
    row = rows[name]
    wallet = read_wallet(db, row.id)
    since = now - LOOK_BACK if wallet is None else max(wallet.since, now - LOOK_BACK)
    task = None if context.live is None else context.live.named(row.name)
    seen = NOT_READ if task is None else await task.examine(since)
    report = seen.report
    counted = quantities(db, row.id, None if report is None else dict(there(report)))
    checks = (
        [] if seen.closed is None else check_closed(closed_parts(db, row.id, since), seen.closed)
    )
    lacking = unsettled_rows(db, row.id)
    difference, shown = _wallet(context, row, seen)
    fills = 0 if wallet is None else fills_since(db, row.id, wallet.quiet_at)
    do = "look whether the exchange is up, then ask again"
    problems = [
        Problem(
            what="not read",
            expected="an answer of the exchange",
            found=each,
            do=do,
            verdict=Verdict.NOT_READ,
        )
        for each in seen.problems
    ]
    problems += [
        Problem(
            what=f"{each.what} {each.id or '?'}",
            expected="a row that can be read",
            found=each.problem,
            do="compare it with the exchange's own page",
            verdict=Verdict.NOT_READ,
        )
        for each in seen.unreadable
    ]
    problems += (
        check_quantities(counted)
        + trade_problems(checks)
        + wallet_problem(difference, change_told(sums(db, row.id)), fills)
    )
    open_now = [each for each in lacking if each["state"] == "open"]
    if open_now:
        found, do = f"{len(open_now)} without", "wait: the exchange is asked again"
        problems.append(
            Problem(
                what="not settled",
                expected="a price, a fee and a cause of every fill",
                found=found,
                do=do,
                verdict=Verdict.NOT_SETTLED,
            )
        )
    unfolded = count_unfolded(db, row.id)
    if unfolded:
        found, do = f"{unfolded} that trades do not show yet", "ask again in a moment"
        problems.append(
            Problem(
                what="not settled",
                expected="the newest facts of every fill in its trade",
                found=found,
                do=do,
                verdict=Verdict.NOT_SETTLED,
            )
        )
    verdict = verdict_of(problems)
    return {
        "account": row.name,
        "environment": row.environment,
        "exchange": row.exchange,
        "agrees": verdict is Verdict.AGREES,
        "verdict": verdict.value,
        "read": report is not None,
        "problems": [{**asdict(each), "verdict": each.verdict.value} for each in problems],
        "quantities": [_texts(asdict(each)) for each in counted],
        "wallet": shown,
        "trades": [_texts(asdict(each)) for each in checks],
        "unsettled": lacking,
        "rows": [
            {
                "kind": each.kind.value,
                "amount": plain(each.amount),
                "since": each.since.isoformat(),
                "until": each.until.isoformat(),
                "fill": each.fill,
                "position_id": each.position_id,
            }
            for each in wallet_rows(db, row.id)
        ],
    }


def _wallet(
    context: EngineContext, row: AccountRow, seen: Examined
) -> tuple[Decimal | None, dict[str, Any] | None]:
    """Return how much of the wallet's change nothing explains, and each line of it; None before the
    first reading.
    """
    db = context.ledger.db
    wallet = read_wallet(db, row.id)
    if wallet is None:
        return None, None
    lines = sums(db, row.id)
    worth = None if seen.report is None else at_cost(seen.report, open_costs(db, row.id))
    difference = (
        None
        if worth is None or is_busy(db, row.id)
        else unexplained(worth, wallet.baseline, lines, wallet.rounding)
    )
    open_result = None
    if seen.report is not None and worth is not None:
        unrealised = sum((each.unrealised_profit for each in seen.report.positions), Decimal(0))
        open_result = EXACT.add(EXACT.subtract(seen.report.balance.total, worth), unrealised)
    return difference, {
        "since": wallet.since.isoformat(),
        "began_with": plain(wallet.baseline),
        "now": None if seen.report is None else plain(seen.report.balance.total),
        "now_at_cost": None if worth is None else plain(worth),
        "lines": {line.value: plain(lines.get(line, Decimal(0))) for line in Line},
        "explained": plain(change_told(lines)),
        "open_result": None if open_result is None else plain(open_result),
        "rounding": plain(wallet.rounding),
        "difference": None if difference is None else plain(difference),
        "compared_at": wallet.quiet_at.isoformat(),
    }


def _texts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: plain(value) if isinstance(value, Decimal) else jsonable(value)
        for name, value in row.items()
    }


BOOKS: Final[Mapping[str, Run]] = {"books_check": Reads(_books_check)}
"""Every command about the books."""
