"""Read at the exchange what the books of an account are compared with. Everything unreadable is
named; nothing is changed.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from engine.actors.account import Account
from engine.decisions.books_check import Examined
from engine.domain.account import AccountReport, ClosedPosition, UnreadableRow


async def examine(account: Account, since: datetime) -> Examined:
    """Read an account, and its closed positions since a time."""
    problems: list[str] = []
    report: AccountReport | None = None
    closed: tuple[ClosedPosition, ...] | None = None
    unreadable: list[UnreadableRow] = []
    try:
        session = await account.connected()
        report = await session.fetch_account()
        unreadable += report.unreadable
    except Exception as error:  # whatever it is, the check reports it
        return Examined(None, None, (), (f"the account: {type(error).__name__}: {error}"[:200],))
    if session.reports_closed_positions:
        offset = timedelta(seconds=session.clock_offset_s or 0.0)
        try:
            history = await session.closed_positions(since)
        except Exception as error:  # the other side of the check is reported all the same
            problems.append(f"closed positions: {type(error).__name__}: {error}"[:200])
        else:
            closed = tuple(
                replace(each, closed_at=each.closed_at - offset) for each in history.rows
            )
            unreadable += history.unreadable
    return Examined(report, closed, tuple(unreadable), tuple(problems))
