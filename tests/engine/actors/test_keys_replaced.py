"""An account gets a new key while something is under way with the old one, which the exchange
refuses from now on: nobody is told of the old key, and what was not sent yet goes out with the new
one.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from engine_world import BEGINNING, World, world
from trio.testing import MockClock

from engine.actors.exchange_session import ExchangeSession
from engine.domain.alert import Alert
from engine.domain.amounts import Price
from engine.domain.readiness import Readiness
from engine.domain.signal import Action, PositionSide
from engine.ledger.alerts import newest_alerts
from engine.ports.exchange import Rejected, RejectionKind

UNDER_WAY_S = 5.0


async def refused_later(*_: Any) -> Any:
    """Answer what the exchange answers to a key that its owner deleted meanwhile."""
    await trio.sleep(UNDER_WAY_S)
    raise Rejected("the key was deleted", RejectionKind.CREDENTIALS)


async def joined(house: World) -> ExchangeSession:
    """Return the account's session with its first key, once it is read."""
    await house.followers[0].account.history.looked.wait()
    return await house.followers[0].account.connected()


def alerts(house: World) -> list[Alert]:
    return newest_alerts(house.ledger.db, BEGINNING, 10)


@pytest.mark.parametrize(
    ("has_new_key", "is_read_before"), [(True, True), (True, False), (False, True)]
)
async def test_an_older_reading_that_fails_says_nothing_about_the_account(
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    has_new_key: bool,
    is_read_before: bool,
) -> None:
    async with world(tmp_path, followers=1) as house:
        session, account = await joined(house), house.followers[0].account
        monkeypatch.setattr(session._open, "fetch_account", refused_later)
        account.read_soon()
        await trio.sleep(UNDER_WAY_S / 2)
        monkeypatch.undo()
        if has_new_key:
            account.renew_session()
        if is_read_before:
            assert await house.followers[0].reader.try_to_read()
        await trio.sleep(UNDER_WAY_S)
        assert account.readiness is Readiness.READY
        assert account.report is not None
        assert alerts(house) == []


async def test_a_connection_with_the_old_key_that_fails_is_made_again_with_the_new_one(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        await joined(house)
        account, made = house.followers[0].account, house.followers[0].account._new_session

        def with_the_old_key() -> ExchangeSession:
            session = made()
            monkeypatch.setattr(session, "open", refused_later)
            return session

        account._new_session = with_the_old_key
        account.renew_session()
        await trio.sleep(UNDER_WAY_S / 2)
        account._new_session = made
        account.renew_session()
        await trio.sleep(UNDER_WAY_S)
        assert account.readiness is Readiness.READY
        assert alerts(house) == []


async def test_what_is_prepared_with_the_old_key_is_planned_again_for_the_new_one(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, followers=1) as house:
        account = house.followers[0].account
        stop = Price(Decimal("60000"))
        for step, action, said, code in (
            ("prepare_entry", Action.OPEN, {"side": PositionSide.LONG}, "filled"),
            ("set_protection", Action.SET_PROTECTION, {"stop_loss": stop}, "applied"),
        ):
            session = await joined(house)
            monkeypatch.setattr(session, step, refused_later)
            signal = await house.send(action, **said)
            await trio.sleep(UNDER_WAY_S / 2)
            account.renew_session()
            assert await house.outcome(signal) == [code]
        assert alerts(house) == []
