"""A signal counts in a strategy's record once its position is flat and every part of it is
reconciled, on the margin behind all its entries.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from engine_world import BEGINNING, World, earlier, world
from test_books_hold import closed, opened, price_is, trades
from trio.testing import MockClock

from engine.decisions.track_record import TrackRecord, track_record
from engine.domain.identifiers import StrategyId
from engine.domain.signal import Action, SignalSize, SizeMode
from engine.ledger.track_records import NEWEST, copied_trades

D = Decimal
LONG_AGO = BEGINNING - timedelta(days=1)
TENTH = SignalSize(SizeMode.FRACTION, fraction=D("0.1"))


def record(house: World, since: datetime = LONG_AGO) -> TrackRecord | None:
    found, _ = copied_trades(house.ledger.db, StrategyId("s"), "paper", since, 100)
    return track_record(found)


async def reduced(house: World) -> None:
    """Open 0.05 at 65,000 on 650 of margin, and close a tenth at 71,500."""
    house.ledger.db.execute("""UPDATE subscription SET policy = replace(policy, '"50"', '"650"')""")
    house.shared.forget_subscriptions()
    await opened(house)
    price_is(house, "71500")
    await house.next_commit()
    assert await house.outcome(await house.send(Action.REDUCE, size=TENTH)) == ["filled"]
    (part,) = await trades(house)
    assert (part.quantity, part.state.value) == ("0.005", "settled")


async def test_the_closed_part_of_an_open_position_is_no_closed_signal(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await reduced(house)
        assert record(house) is None, "nine tenths are still open"
        price_is(house, "58500")
        await house.next_commit()
        between = earlier(house.shared, 0)
        await closed(house)
        first, last = await trades(house)
        assert first.result is not None
        assert last.result is not None
        made = record(house)
        assert made is not None
        assert (made.signals, made.trades) == (1, 2)
        assert made.margins == {"a0": D(650)}
        percent = 100 * (first.result + last.result) / 650
        assert [each.percent for each in made.returns] == [percent]
        assert percent < -40
        assert record(house, since=between) == made, "a signal counts whole when it was closed"


async def test_a_position_with_a_part_that_is_not_reconciled_or_was_taken_over_does_not_count(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await reduced(house)
        await closed(house)
        assert len(await trades(house)) == 2
        whole = record(house)
        for wrong in ("state = 'unexplained'", "cause = 'taken_over'"):
            for which in ("min", "max"):
                house.ledger.db.execute("SAVEPOINT before")
                house.ledger.db.execute(
                    f"UPDATE trade SET {wrong} WHERE id = (SELECT {which}(id) FROM trade)"
                )
                assert record(house) is None, (wrong, which)
                house.ledger.db.execute("ROLLBACK TO before")
                house.ledger.db.execute("RELEASE before")
        assert record(house) == whole


async def test_pages_of_a_record_never_tear_a_position(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await reduced(house)
        await closed(house)
        await opened(house)
        await closed(house)
        assert len(await trades(house)) == 3
        db, place, pages = house.ledger.db, NEWEST, []
        for _ in range(3):
            page, behind = copied_trades(db, StrategyId("s"), "paper", LONG_AGO, 1, place)
            pages.append(len(page))
            if behind is None:
                break
            place = behind
        assert pages == [1, 2, 0], "the newest position, then both parts of the one before it"
