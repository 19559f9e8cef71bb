"""Rows of the exchange that its adapter could not read: kept with the newest reading, shown on
request, and reported once when they appear.

They stop only what they concern: see ``decisions.risk.unread_row``. An account's reading and the
orders of each symbol are kept apart, so that one reading does not make another one's rows look
read.
"""

from typing import Final

from engine.actors.account import Account
from engine.decisions.preflight import words_of_row
from engine.domain.account import UnreadableRow
from engine.domain.alert import AlertCode

NAMED_MAX: Final = 3
KEPT_MAX: Final = 200


class UnreadableRows:
    """The unreadable rows of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._by_source: dict[str, tuple[UnreadableRow, ...]] = {}

    @property
    def rows(self) -> tuple[UnreadableRow, ...]:
        """Return all of them, each once."""
        return tuple(dict.fromkeys(row for rows in self._by_source.values() for row in rows))[
            :KEPT_MAX
        ]

    async def note(self, source: str, rows: tuple[UnreadableRow, ...]) -> None:
        """Replace what a source could not read before by what it could not read now; raise an alert
        if there is more.
        """
        if self._by_source.get(source, ()) == rows:  # usual, and asked after each reading
            return
        before = self.rows
        self._by_source[source] = rows
        now = self.rows
        if now == before:
            return
        self._account.check.wake()
        new = [each for each in now if each not in before]
        if new:
            more = f"; and {len(new) - NAMED_MAX} more" if len(new) > NAMED_MAX else ""
            await self._account.shared.alert(
                AlertCode.ROWS_UNREADABLE,
                self._account.name,
                source,
                count_rows=str(len(new)),
                rows="; ".join(words_of_row(each) for each in new[:NAMED_MAX]) + more,
            )
