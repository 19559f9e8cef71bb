"""The books of followers on paper, compared with the exchange's own journal: events while the
server was down, reported afterwards.

The price moves, and the owner acts, while the server is down: a stop, a liquidation, a manual close
of a part or of all, an addition. The wallet of the journal checks ``account show``, ``books check``
and the CSV of a trader, to 0.01 for each trade.
"""

import csv
import io
import json
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
import trio
from browser_free import close_all
from coming_in import come_in
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, until

from plugins.paper.adapter import account_key
from plugins.paper.events import read_event
from plugins.paper.journal import read_journal
from plugins.paper.market import make_prices
from plugins.paper.settings import PaperSettings
from plugins.paper.venue import Venue, replay
from rexalgo import (
    ClientOrderId,
    OrderIntent,
    OrderSide,
    OrderType,
    PositionSide,
    ProtectionOrder,
    Quantity,
    Ratio,
    Symbol,
)

BTC, CENT, START = Symbol("BTCUSDT"), Decimal("0.01"), Decimal(10_000)
ALL = ["f0001", "f0002", "f0003", "f0004", "f0005"]
STOPPED, LIQUIDATED, IN_PART, BY_HAND, MORE = ALL


class Now:
    """The real clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(
        tmp_path_factory.mktemp("place"), '[plugin.paper]\nprice_fixed = { BTCUSDT = "65000" }'
    )
    made.provision(DECLARATIONS.format(followers=len(ALL)))
    made.serve()
    yield made
    close_all()
    if made.process is not None:
        assert made.end(signal.SIGTERM) == 0, (made.folder / "log").read_text()


def away(place: Place, price: str, *acts: tuple[str, str, str]) -> None:
    """Stop the server, let owners act at the exchange, move the price, and serve again; an act is
    (whose, what, quantity).
    """
    assert place.end(signal.SIGTERM) == 0
    if acts:
        trio.run(_act, place, acts)
    file = place.folder / "rexalgo.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r'BTCUSDT = "\d+"', f'BTCUSDT = "{price}"', text), encoding="utf-8")
    place.serve()


async def _act(place: Place, acts: tuple[tuple[str, str, str], ...]) -> None:
    price = re.findall(
        r'BTCUSDT = "(\d+)"', (place.folder / "rexalgo.toml").read_text(encoding="utf-8")
    )[0]
    settings = PaperSettings.parse({"price_fixed": {"BTCUSDT": price}})
    venue = Venue.open(place.journal.parent, make_prices(settings), Now(), settings)
    for number, (name, what, quantity) in enumerate(acts):
        key = account_key(name.replace("f", "paper-"))
        if what == "unprotects":
            await venue.protect(key, ProtectionOrder(BTC, PositionSide.LONG))
            continue
        side = OrderSide.BUY if what == "adds" else OrderSide.SELL
        order = OrderIntent(
            ClientOrderId(f"hand-{number}-{name}"),
            BTC,
            side,
            PositionSide.LONG,
            Quantity(Decimal(quantity)),
            OrderType.MARKET,
            Ratio(Decimal(5)),
            reduce_only=side is OrderSide.SELL,
        )
        await venue.place(key, order)
    venue.close()


def wallet(place: Place, name: str) -> Decimal:
    """Return a wallet as the exchange's journal gives it."""
    return replay(read_event(each) for each in read_journal(place.journal))[
        account_key(name.replace("f", "paper-"))
    ].wallet


def shares(place: Place) -> dict[str, str]:
    rows = place.rows(
        "SELECT account.name, share FROM holding JOIN account ON account.id = account_id WHERE "
        "share != '0'"
    )
    return {str(name): str(share) for name, share in rows}


def send(place: Place, body: dict[str, object]) -> set[str]:
    with httpx.Client(trust_env=False, timeout=20) as client:
        answer = place.bots["trend"].post(client, body)
        assert answer.status_code == 202, answer.text
        return set(place.settled(answer.json()["signal_id"]))


def test_what_happened_while_nobody_looked_is_booked_as_the_journal_has_it(place: Place) -> None:
    assert send(place, opening("one", stop_loss="64000")) == {"filled"}
    whole = shares(place)[IN_PART]
    away(
        place,
        "65000",
        (IN_PART, "sells", "0.001"),
        (BY_HAND, "sells", whole),
        (MORE, "adds", "0.002"),
    )
    until(lambda: shares(place)[IN_PART] != whole and BY_HAND not in shares(place))
    away(place, "63000", (LIQUIDATED, "unprotects", ""))
    until(lambda: set(shares(place)) == {LIQUIDATED})
    away(place, "52000")
    until(lambda: shares(place) == {})
    away(place, "65000")
    assert send(place, closing("master-is-flat")) == {"skipped.nothing_to_close"}
    assert send(place, opening("two")) == {"filled"}
    assert send(place, closing("two-closed")) == {"filled"}
    until(
        lambda: bool(
            json.loads(run_cli("books", "check", "--all", "--json", cwd=place.folder, code=None))[
                "agrees"
            ]
        ),
    )
    for name in ALL:
        change = wallet(place, name) - START
        books = json.loads(run_cli("account", "show", name, "--json", cwd=place.folder))["books"]
        assert abs(Decimal(books["change"]) - change) <= CENT, (name, books)
        assert (Decimal(books["unexplained"]), books["trades_not_reconciled"]) == (0, 0), (
            name,
            books,
        )


def test_how_each_trade_ended_is_told(place: Place) -> None:
    rows = place.rows(
        "SELECT account.name, cause FROM trade JOIN account ON account.id = account_id WHERE "
        "strategy_id != '' ORDER BY trade.id"
    )
    causes: dict[str, list[str]] = {}
    for name, cause in rows:
        causes.setdefault(str(name), []).append(str(cause))
    assert causes == {
        STOPPED: ["stop_loss", "signal"],
        LIQUIDATED: ["liquidation", "signal"],
        IN_PART: ["owner", "stop_loss", "signal"],
        BY_HAND: ["owner", "signal"],
        MORE: ["stop_loss", "signal"],
    }


@pytest.mark.parametrize("name", [STOPPED, LIQUIDATED, IN_PART, BY_HAND])
def test_the_trades_that_a_trader_loads_come_to_what_the_wallet_lost(
    place: Place, name: str
) -> None:
    user = come_in(place, "user", "link", f"follower:{name}")
    told = list(csv.DictReader(io.StringIO(user.get("/performance.csv"))))
    results = sum((Decimal(each["result"]) for each in told), Decimal(0))
    assert abs(results - (wallet(place, name) - START)) <= CENT * len(told), told
    last = told[0]
    assert (last["entry_price"], last["exit_price"]) == (
        "65000",
        "65000",
    )  # nothing of the trade before it is averaged in
    page = user.get("/performance")
    assert "PAPER" in page
    assert [each["state"] for each in told] == ["settled"] * len(told)
