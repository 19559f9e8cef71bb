"""The engine's work for an order, and its periodic work, does not grow with the history.

SQLite counts the steps of each statement that it runs, so this needs no clock: the same story runs
with and without a history, and no statement may take more steps in the second. ``make bench``
measures the same with a million outcomes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import apsw
import trio
from trio.testing import MockClock

from bench.past import write_past
from engine.actors.bookkeeping import Bookkeeping
from engine.actors.breakers import Breakers
from engine.actors.flattening import Flattening
from engine.decisions.circuit import Circuit
from engine.domain.amounts import Price, Ratio
from engine.domain.holding import Switch, SwitchLevel, SwitchScope
from engine.domain.identifiers import PersonId, StrategyId
from engine.domain.signal import Action, PositionSide, SignalSize, SizeMode
from engine.ledger import Database
from engine.ledger.alerts import undelivered_alerts
from engine.ledger.attempts import open_attempts, read_attempt
from engine.ledger.copies import waiting
from engine.ledger.equity import read_equity_marks
from engine.ledger.folding import unfolded_episodes
from engine.ledger.following import copies_of
from engine.ledger.open_shares import still_open
from engine.ledger.pulse import concerns_person, newest_sequence
from engine.ledger.query import fetch_all
from engine.ledger.reports import account_rows, set_switch, switches
from engine.ledger.results import account_trades, strategies_for, strategy_days
from engine.ledger.signals import read_signal
from engine.ledger.studio import open_costs_of, open_shares_of, strategies_of
from engine.settings.config import load_config
from tests.engine.actors.engine_world import BEGINNING, World, world

LONG: Final = PositionSide.LONG
PAST: Final = 3_000
SLACK: Final = 40
"""A search in an index of three levels takes a few steps more than in one of two, and in an empty
one none at all.
"""

KEPT_SHORT: Final = "DELETE FROM equity_point AS late"
"""It goes through the points of two days, of one account."""


@contextmanager
def counted(db: Database) -> Iterator[dict[str, int]]:
    """Yield the most steps that each statement took in one run."""
    most: dict[str, int] = {}

    def note(event: Any) -> None:
        steps = event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]
        most[event["sql"]] = max(most.get(event["sql"], 0), steps)

    db.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)
    yield most
    db.trace_v2(0)


async def told(folder: Path, past: int) -> dict[str, int]:
    """Run one story after a history of that many outcomes; return each statement's most steps."""
    async with world(folder, followers=2) as house, trio.open_nursery() as nursery:
        for each in (
            house.followers
        ):  # what is done once for each start is done before anything is counted, in both stories
            await each.account.history.looked.wait()
            while each.preflight.newest is None:  # no wakeup  # noqa: ASYNC110  # no wakeup
                await trio.sleep(0.1)
        assert write_past(house.ledger.db, past, BEGINNING) == past
        with counted(house.ledger.db) as most:
            nursery.start_soon(Bookkeeping(house.shared, house.account_tasks).run)
            breakers = Breakers(
                house.shared,
                {"paper": Circuit()},
                replace(load_config(folder, {}).engine, breaker_refusals=3),
            )
            await _orders(house, breakers)
            await _looks(house, breakers)
            await trio.sleep(700)  # readings, equity points, funding
        nursery.cancel_scope.cancel()
    return most


async def _orders(house: World, breakers: Breakers) -> None:
    """Send every kind of signal twice, each while the one before is still being settled."""
    half = SignalSize(SizeMode.FRACTION, None, Ratio(Decimal("0.5")))
    for _ in range(2):
        for action, said in (
            (Action.OPEN, {"side": LONG, "stop_loss": Price(Decimal(60_000))}),
            (Action.ADD, {"side": LONG}),
            (Action.SET_PROTECTION, {"side": LONG, "stop_loss": Price(Decimal(61_000))}),
            (Action.REDUCE, {"size": half}),
            (Action.REVERSE, {"side": PositionSide.SHORT}),
            (Action.CANCEL, {}),
            (Action.CLOSE, {}),
        ):
            await house.outcome(await house.send(action, **said))
            await breakers.look()
            await trio.sleep(3)


async def _looks(house: World, breakers: Breakers) -> None:
    """Do the periodic work, with something open, something refused and somebody watching."""
    db, now = house.ledger.db, house.shared.clock.now
    await house.outcome(await house.send(Action.OPEN, side=LONG))
    sequence = newest_sequence(db)
    await house.ledger.write(
        lambda db: set_switch(
            db,
            Switch(
                scope=SwitchScope.ALL,
                target="",
                note="drill",
                set_by="t",
                set_at=now(),
                level=SwitchLevel.FLATTEN,
            ),
        )
    )
    house.shared.switches = switches(db)
    flattening = Flattening(house.shared, house.account_tasks.wake)
    await flattening.tell_what_is_left()
    await flattening.close_what_is_open()
    await breakers.look()
    assert concerns_person(db, PersonId("p"), sequence - 5)
    undelivered_alerts(db, "log", 20)
    read_equity_marks(db, house.followers[0].account.id, "UTC")
    assert len(still_open(db)) == len(account_rows(db)) == 2
    assert strategies_for(db, "p")
    assert strategies_of(db, PersonId("p"))
    assert open_shares_of(db, StrategyId("s"))
    assert open_costs_of(db, StrategyId("s"), 9)[0]
    await trio.sleep(20)


def grown(young: dict[str, int], old: dict[str, int]) -> str:
    """Return the statements that took more steps in the old story than in the young one."""
    return "\n".join(
        f"{young.get(sql, 0)} steps, behind {PAST} outcomes {steps}; it is run for an order or "
        f"every few seconds: {sql}"
        for sql, steps in old.items()
        if steps > young.get(sql, 0) * 1.1 + SLACK and not sql.startswith(KEPT_SHORT)
    )


async def test_no_statement_takes_more_steps_behind_a_long_past(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    for name in ("young", "old"):
        (tmp_path / name).mkdir()
    young, old = await told(tmp_path / "young", 0), await told(tmp_path / "old", PAST)
    assert not grown(young, old)
    assert len(old) > 60


NEVER_FLAT: Final = """
    CREATE TEMP TABLE turn AS WITH RECURSIVE turn (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM turn
        WHERE n < {orders}) SELECT n FROM turn;
    CREATE TEMP TABLE one AS SELECT * FROM fill ORDER BY id DESC LIMIT 1;
    INSERT INTO fill (account_id, strategy_id, symbol, side, is_entry, quantity, price, fee, cause,
        at_us, since_us, seen_us, attempt_id, position_id, episode, state, folded, open_after)
    SELECT account_id, strategy_id, symbol, side, n % 2, quantity, price, fee, cause,
        at_us - 1000000000000, since_us - 1000000000000, seen_us - 1000000000000, attempt_id + n,
        position_id, episode, state, folded, open_after FROM turn, one ORDER BY n;
    INSERT INTO trade (account_id, strategy_id, environment, symbol, side, quantity, entry_price,
        exit_price, fees, gross, result, opened_us, closed_us, fill_id, episode, cause, state)
    SELECT account_id, strategy_id, 'paper', symbol, side, quantity, price, price, '0', '0', '0',
        at_us, at_us, id, episode, cause, state FROM fill WHERE is_entry = 0;
    INSERT INTO attempt (copy_id, leg, number, kind, account_id, strategy_id, symbol, epoch, state,
        client_order_id, intent, witness, notional, margin, claimed_us, ended_us,
        exchange_order_id, filled, price, fee)
    SELECT copy_id, leg, number + n, CASE n % 2 WHEN 1 THEN 'entry' ELSE 'exit' END, account_id,
        strategy_id, symbol, epoch, state, client_order_id || n, intent, witness, notional, margin,
        claimed_us - 1000000000000, ended_us - 1000000000000, exchange_order_id || n, filled,
        price, fee
    FROM turn, (SELECT * FROM attempt ORDER BY id DESC LIMIT 1) ORDER BY n;
"""
"""Orders of one position, in turn one that adds and one that reduces."""


async def told_of_a_position(folder: Path, orders: int) -> dict[str, int]:
    """Add to a position that so many orders changed, and reduce it; return each statement's most
    steps.
    """
    half = SignalSize(SizeMode.FRACTION, None, Ratio(Decimal("0.5")))
    async with world(folder, followers=1) as house, trio.open_nursery() as nursery:
        nursery.start_soon(Bookkeeping(house.shared, house.account_tasks).run)
        assert await house.outcome(await house.send(Action.OPEN, side=LONG)) == ["filled"]
        await trio.sleep(5)
        assert not unfolded_episodes(house.ledger.db, 1)
        house.ledger.db.execute(NEVER_FLAT.format(orders=orders))
        with counted(house.ledger.db) as most:
            for action, said in ((Action.ADD, {"side": LONG}), (Action.REDUCE, {"size": half})):
                assert await house.outcome(await house.send(action, **said)) == ["filled"]
                await trio.sleep(5)
                assert not unfolded_episodes(house.ledger.db, 1)
        nursery.cancel_scope.cancel()
    return most


async def test_no_statement_takes_more_steps_in_a_position_that_is_never_flat(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    for name in ("young", "old"):
        (tmp_path / name).mkdir()
    young = await told_of_a_position(tmp_path / "young", 2)
    old = await told_of_a_position(tmp_path / "old", PAST)
    assert not grown(young, old)


async def test_a_past_is_one_that_the_engine_could_have_written(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The benchmark and the story above stand on it."""
    async with world(tmp_path, followers=3) as house:
        db = house.ledger.db
        assert write_past(db, PAST, BEGINNING) == PAST
        assert not fetch_all(db, "PRAGMA foreign_key_check")
        assert (
            open_attempts(db, house.followers[0].account.id),
            waiting(db),
            unfolded_episodes(db, 1),
        ) == ([], [], [])
        accounts = [each.account.id for each in house.followers]
        codes = {each.code for each in copies_of(db, accounts, PAST)}
        assert codes == {"filled", "rejected", "skipped.below_minimum", "skipped.nothing_to_close"}
        orders = fetch_all(db, "SELECT id, kind, state, symbol FROM attempt")
        assert {(kind, state) for _, kind, state, _ in orders} == {
            ("entry", "filled"),
            ("entry", "rejected"),
            ("exit", "filled"),
        }
        trades = [each for account in accounts for each in account_trades(db, account, PAST)]
        assert len(trades) == sum(kind == "exit" for _, kind, _, _ in orders)
        assert len(trades) == sum(
            each.trades for each in strategy_days(db, StrategyId("s"), "paper")
        )
        assert read_attempt(db, orders[0][0]).intent.symbol == orders[0][3]
        assert read_signal(db, 1).draft.action is Action.OPEN
        await house.outcome(await house.send(Action.OPEN, side=LONG))  # and it goes on from there
        assert strategies_of(db, PersonId("p"))[0].signals == PAST // 3 + 1
