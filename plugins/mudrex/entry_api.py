"""The choice of entry call, made once per account and stored: v2 with a client order id, or v1
without.

With ``auto`` the account's own answers decide at its first connection. Rows of its history with a
client order id prove v2. Otherwise the v2 path is *read* (GET executes nothing): 404 proves that it
does not exist, 405, 400 or 200 that it does. Any other answer decides nothing, and the connection
is tried again. The choice is in a file of the plugin's folder, so that a restart does not change it
under an open claim.
"""

import json
from pathlib import Path

from plugins.mudrex import parsing
from plugins.mudrex.errors import is_own, judge_read
from plugins.mudrex.limits import HISTORY_ROWS
from plugins.mudrex.requests import CURRENCY
from plugins.mudrex.settings import EntryApi
from plugins.mudrex.shared import get
from rexalgo import AccountId, HttpClient, replace_file

FILE_NAME = "entry-api.json"
THERE = frozenset({200, 400, 405})


class Choices:
    """The accounts' choices in a file, written whole by one rename."""

    def __init__(self, folder: str) -> None:
        self._file = Path(folder) / FILE_NAME
        self._kept: dict[str, str] = (
            json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else {}
        )

    def of(self, account: AccountId) -> EntryApi | None:
        """Return the choice of an account."""
        choice = self._kept.get(account)
        return None if choice is None else EntryApi(choice)

    def keep(self, account: AccountId, chosen: EntryApi) -> None:
        """Store a choice durably, before its first use."""
        self._kept[account] = chosen.value
        replace_file(self._file, json.dumps(self._kept))


async def choose(
    setting: EntryApi, account: AccountId, http: HttpClient, choices: Choices
) -> EntryApi:
    """Return the call that this account uses. Raise ExchangeError if its answers do not decide."""
    if setting is not EntryApi.AUTO:
        return setting
    choice = choices.of(account)
    if choice is None:
        choice = await _ask(http)
        choices.keep(account, choice)
    return choice


async def _ask(http: HttpClient) -> EntryApi:
    history = await get(
        http, "/v1/futures/orders/history", trade_currency=CURRENCY, limit=str(HISTORY_ROWS)
    )
    if any(
        isinstance(row, dict) and row.get("client_order_id") for row in parsing.rows_of(history)
    ):
        return EntryApi.V2
    answer = await http.get(
        "/v2/futures/order", params={"symbol": "BTCUSDT", "trade_currency": CURRENCY}
    )
    if answer.status_code == 404 and is_own(answer.content):
        return EntryApi.V1
    if answer.status_code in THERE:
        return EntryApi.V2
    raise judge_read(answer.status_code, answer.content)
