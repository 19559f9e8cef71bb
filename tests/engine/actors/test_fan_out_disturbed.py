"""Something happens in the middle of a fan-out: nothing is lost, nothing is sent twice, and nobody
else is delayed.

The whole engine runs, with its commands, its stop and its next start. Judged is by the exchange's
own record.
"""

from asyncio import CancelledError
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from fan_out_place import LATENCY_S, Connection, Folder, Place, Served, people, provisioned
from trio.testing import MockClock

from engine.actors.unsent import ANSWER_WAITS_S
from engine.domain.account import UnreadableRow
from engine.domain.order import OrderIntent
from engine.ledger.query import fetch_all
from rexalgo import AccountReport, Rejected, Symbol

MANY: Final = 1_000
SOME: Final = 250
FEW: Final = 20
UNSENT_MAX: Final = 16
FLOOD: Final = 1_000
LONGEST: Final = 50_000
"""In characters: an alert names twenty of the rows that cannot be read."""
Act = Callable[[Connection, OrderIntent | None], Awaitable[Any]]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return provisioned(tmp_path_factory.mktemp("many"), MANY)


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return provisioned(tmp_path_factory.mktemp("some"), SOME)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return provisioned(tmp_path_factory.mktemp("few"), FEW)


def judge(served: Served, signal: str, followers: int) -> Counter[str | None]:
    """Compare the copies of an entry with the exchange's record; return how many ended how."""
    exchange, codes = served.exchange, served.codes(signal)
    entries = Counter(each.account for each in exchange.sent if not each.intent.reduce_only)
    assert max(entries.values()) == 1, "an entry was sent twice"
    ids = Counter(each.intent.client_order_id for each in exchange.sent)
    assert max(ids.values()) == 1, "an order was sent twice"
    assert len(codes) == followers, "a copy was lost"
    bought = {name for name, orders in exchange.orders.items() if orders}
    assert {name for name, code in codes.items() if code == "filled"} == bought
    ended = (
        "SELECT copy_id FROM event JOIN copy ON copy.id = copy_id JOIN signal ON number = "
        "signal_number WHERE event.kind = 'outcome' AND signal.id = ? AND subject NOT IN "
        "('unknown', 'placed', 'partially_filled') GROUP BY 1 HAVING count(*) > 1"
    )
    assert fetch_all(served.ledger.db, ended, (signal,)) == [], "a copy ended twice"
    held = (
        "SELECT name, share FROM holding JOIN account ON account.id = account_id WHERE share != '0'"
    )
    shares = {name: Decimal(share) for name, share in fetch_all(served.ledger.db, held)}
    assert shares == exchange.positions(), "the ledger differs from the exchange"
    return Counter(codes.values())


# What an adapter may do


async def hang(connection: Connection, order: OrderIntent | None) -> None:
    await trio.sleep_forever()


async def accept_and_hang(connection: Connection, order: OrderIntent | None) -> None:
    assert order is not None
    connection.accept(order)
    await trio.sleep_forever()


def raises(error: BaseException) -> Act:
    async def act(connection: Connection, order: OrderIntent | None) -> None:
        await trio.lowlevel.checkpoint()
        raise error

    return act


async def flood_account(connection: Connection, order: OrderIntent | None) -> AccountReport:
    await trio.lowlevel.checkpoint()
    read = connection.read()
    rows = (
        UnreadableRow("order", f"row-{n}", Symbol("ETHUSDT"), "x" * 1_000) for n in range(FLOOD)
    )
    return AccountReport(read.balance, read.positions, (), read.as_of, tuple(rows))


ILL: Final[dict[str, tuple[str, Act, str]]] = {
    "f0001": ("place_order", hang, "not_confirmed"),
    "f0002": ("place_order", accept_and_hang, "filled"),
    "f0003": ("prepare_entry", hang, "expired"),
    "f0004": ("fetch_account", hang, "denied.account_not_ready"),
    "f0005": ("connect", hang, "denied.account_not_ready"),
    "f0011": ("place_order", raises(KeyError("an adapter's own mistake")), "not_confirmed"),
    "f0012": ("place_order", raises(SystemExit(3)), "not_confirmed"),
    "f0013": ("prepare_entry", raises(ZeroDivisionError()), "expired"),
    "f0014": ("prepare_entry", raises(CancelledError()), "expired"),
    "f0015": ("fetch_account", raises(RecursionError()), "denied.account_not_ready"),
    "f0016": (
        "fetch_account",
        raises(BaseExceptionGroup("", [SystemExit()])),
        "denied.account_not_ready",
    ),
    "f0017": ("connect", raises(MemoryError()), "denied.account_not_ready"),
    "f0021": ("fetch_account", flood_account, "filled"),
    "f0022": ("place_order", raises(Rejected("x" * 5_000_000)), "rejected"),
    "f0023": ("prepare_entry", raises(RuntimeError("x" * 5_000_000)), "expired"),
}


async def test_an_adapter_that_hangs_raises_or_floods_disturbs_nobody(
    some: Folder, tmp_path: Path, autojump_clock: MockClock
) -> None:
    place = Place(some, tmp_path)
    place.exchange.acts |= {(name, call): act for name, (call, act, _) in ILL.items()}
    async with place.served() as served:
        began = trio.current_time()
        signal = await served.send("one", "open", side="LONG")
        codes = await served.settled(signal)
        judge(served, signal, SOME)
        assert {name: codes.pop(name) for name in ILL} == {
            name: code for name, (*_, code) in ILL.items()
        }
        assert set(codes.values()) == {"filled"}
        # What two of them hold for a while are two of the slots for unsent claims.
        last = max(each.at for each in place.exchange.sent if each.account not in ILL)
        assert last - began <= (SOME / (UNSENT_MAX - 2) + 1) * LATENCY_S
        longest = (
            "SELECT max(length(data)) FROM event UNION ALL SELECT max(length(numbers)) FROM copy"
        )
        assert max(row[0] for row in fetch_all(served.ledger.db, longest)) < LONGEST


async def test_an_exchange_that_hangs_holds_no_order_of_another(
    few: Folder, tmp_path: Path, autojump_clock: MockClock
) -> None:
    place = Place(few, tmp_path)
    place.exchange.acts |= {(f"f{n:04}", "place_order"): hang for n in range(1, FEW + 1)}
    table = people(FEW)
    table["follower"] += [
        {"name": "elsewhere", "exchange": "beside", "secret": "elsewhere.first"}
        | {each: table["follower"][0][each] for each in ("strategy", "sizing")}
    ]
    async with place.served() as served:
        await served.send("one", "open", side="LONG")
        await place.exchange.until_sent(UNSENT_MAX)
        await served.command("provision", table=table, file="people.toml")
        for key, action, said in (("two", "open", {"side": "LONG"}), ("three", "close", {})):
            began = trio.current_time()
            signal = await served.send(key, action, **said)
            await served.until(
                lambda signal=signal: served.codes(signal)["elsewhere"] == "filled"  # type: ignore[misc]
            )
            assert trio.current_time() - began < ANSWER_WAITS_S
        assert len(place.exchange.sent) == UNSENT_MAX, "the other exchange hung no more"


async def test_a_halt_in_the_middle_is_the_last_moment_of_an_entry(
    many: Folder, tmp_path: Path, autojump_clock: MockClock
) -> None:
    place = Place(many, tmp_path)
    async with place.served() as served:
        signal = await served.send("one", "open", side="LONG")
        await place.exchange.until_sent(MANY * 2 // 5)
        await served.command("halt", scope="all", level="entries", note="drill")
        sent = len(place.exchange.sent)
        await served.settled(signal)
        assert len(place.exchange.sent) == sent, "an entry was sent after the halt was confirmed"
        assert MANY * 2 // 5 <= sent <= MANY * 2 // 5 + UNSENT_MAX
        assert judge(served, signal, MANY) == {"filled": sent, "skipped.entries_off": MANY - sent}
        skipped = next(name for name, code in served.codes(signal).items() if code != "filled")
        told = await served.command("why", signal="one", follower=skipped)
        assert "drill" in str(told), "the skipped copy does not give the operator's note"


async def test_a_flatten_in_the_middle_ends_flat_and_stays_flat(
    some: Folder, tmp_path: Path, autojump_clock: MockClock
) -> None:
    place = Place(some, tmp_path)
    async with place.served() as served:
        signal = await served.send("one", "open", side="LONG")
        await place.exchange.until_sent(SOME * 2 // 5)
        await served.command("halt", scope="all", level="flatten", note="drill")
        entries = sum(not each.intent.reduce_only for each in place.exchange.sent)
        await served.settled(signal)
        await served.until(lambda: not place.exchange.positions())
        await trio.sleep(200)
        assert place.exchange.positions() == {}
        assert fetch_all(served.ledger.db, "SELECT 1 FROM holding") == []
        legs = Counter((each.account, each.intent.side) for each in place.exchange.sent)
        assert set(legs.values()) == {1}, "a leg was sent twice"
        assert len(legs) == 2 * entries, "an entry was sent after the flatten was confirmed"
        codes = Counter(served.codes(signal).values())
        assert codes == {"filled": entries, "skipped.entries_off": SOME - entries}


async def test_a_stop_in_the_middle_claims_nothing_more_and_the_next_start_finds_the_unanswered(
    many: Folder, tmp_path: Path, autojump_clock: MockClock
) -> None:
    place = Place(many, tmp_path)
    place.exchange.acts |= {
        (f"f{n:04}", "place_order"): accept_and_hang if n % 2 else hang for n in range(1, 11)
    }
    claims = "SELECT name, attempt.state FROM attempt JOIN account ON account.id = account_id"
    async with place.served() as served:
        signal = await served.send("one", "open", side="LONG")
        await place.exchange.until_sent(MANY * 2 // 5)
        served.engine.stop_claiming()
        claimed, stopped = fetch_all(served.ledger.db, claims), trio.current_time()
        await trio.sleep(0.5)  # the web drains meanwhile
    assert trio.current_time() - stopped < 10
    ended = dict(place.rows(claims))
    assert ended.keys() == dict(claimed).keys(), "an order was claimed after the stop"
    assert ended.keys() == {each.account for each in place.exchange.sent}
    unanswered = {name for name, state in ended.items() if state == "unknown"}
    assert unanswered == {name for name, _ in place.exchange.acts} & ended.keys()
    assert {ended[name] for name in ended.keys() - unanswered} == {"filled"}

    place.exchange.acts.clear()
    async with place.served() as served:
        codes = await served.settled(signal)
        found = judge(served, signal, MANY)
        assert {name for name in unanswered if codes[name] == "filled"} == {
            name for name in unanswered if int(name[1:]) % 2
        }
        assert found["filled"] + found["not_confirmed"] + found["expired"] == MANY
        assert found["not_confirmed"] == sum(int(name[1:]) % 2 == 0 for name in unanswered)


async def test_people_keys_and_terms_that_change_in_the_middle(
    some: Folder, tmp_path: Path, autojump_clock: MockClock
) -> None:
    place = Place(some, tmp_path)
    exchange = place.exchange
    async with place.served() as served:
        signal = await served.send("one", "open", side="LONG")
        await exchange.until_sent(SOME * 2 // 5)
        changed = people(
            SOME + 1,
            secret="f{n:04}.second",
            sizing={"mode": "fixed_margin", "margin": "20"},
        )
        await served.command("provision", table=changed, file="people.toml")
        await served.settled(signal)
        assert judge(served, signal, SOME) == {"filled": SOME}
        since = {key: at for at, key in exchange.connected}
        for each in exchange.sent:
            is_new = each.key.endswith("second")
            assert each.intent.quantity == (2 if is_new else 5), "other terms than the key's"
            replaced = since.get(f"{each.account}.second", each.at)
            assert is_new or each.at <= replaced, "sent with a replaced key"
        closed = await served.settled(await served.send("two", "close"))
        assert closed.pop(f"f{SOME + 1:04}") == "skipped.nothing_to_close"
        assert set(closed.values()) == {"filled"}
        assert exchange.positions() == {}
    assert exchange.open_connections == 0


async def test_a_key_replaced_while_the_account_connects_is_not_used_again(
    few: Folder, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def slowly(connection: Connection, order: OrderIntent | None) -> None:
        await trio.sleep(0.5)

    place = Place(few, tmp_path)
    place.exchange.acts |= {(f"f{n:04}", "connect"): slowly for n in range(1, FEW + 1)}
    async with place.served() as served:
        for key in ("second", "third"):
            table = people(FEW, secret=f"f{{n:04}}.{key}")
            await served.command("provision", table=table, file="people.toml")
            if key == "second":
                signal = await served.send("one", "open", side="LONG")
                await trio.sleep(0.1)
        await served.settled(signal)
        judge(served, signal, FEW)
        assert {each.key.partition(".")[2] for each in place.exchange.sent} == {"third"}
    assert place.exchange.open_connections == 0, "a connection was never closed"
