"""What an endpoint may send: the strategy's contracts or fewer; and signals that lower risk for a
contract that was removed.
"""

from datetime import UTC, datetime, timedelta

import pytest

from engine.decisions.admission import Scope, admit, check_scope, read_scope
from engine.domain.amounts import parse_price, parse_ratio
from engine.domain.errors import InvalidValue
from engine.domain.identifiers import Symbol
from engine.domain.signal import Action, PositionSide, SignalDraft, SignalSize, SizeMode

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
BTC, ETH = Symbol("BTCUSDT"), Symbol("ETHUSDT")


def draft(action: Action, symbol: Symbol = BTC) -> SignalDraft:
    side = PositionSide.LONG if action.is_entry else None
    half = (
        SignalSize(SizeMode.FRACTION, fraction=parse_ratio("0.5"))
        if action is Action.REDUCE
        else SignalSize()
    )
    stop = parse_price("1") if action is Action.SET_PROTECTION else None
    return SignalDraft("k", action, symbol, side, size=half, stop_loss=stop)


def refused(
    scope: Scope, action: Action, symbol: Symbol = BTC, *, held: bool = False, now: datetime = NOW
) -> str:
    """Return the refused field, or an empty text."""
    try:
        check_scope(draft(action, symbol), scope, lambda: held, now)
    except InvalidValue as error:
        return error.field
    return ""


@pytest.mark.parametrize("action", list(Action))
def test_the_strategys_contracts_are_taken_and_others_are_not(action: Action) -> None:
    scope = Scope(symbols=frozenset([BTC]))
    assert refused(scope, action) == ""
    assert refused(scope, action, ETH) == "symbol"


@pytest.mark.parametrize("action", list(Action))
def test_what_followers_still_hold_can_be_closed_after_its_contract_was_taken_out(
    action: Action,
) -> None:
    assert refused(Scope(symbols=frozenset([BTC])), action, ETH, held=True) == (
        "symbol" if action.is_entry else ""
    )


def test_an_address_may_be_narrower_than_its_strategy() -> None:
    scope = Scope(
        symbols=frozenset([BTC, ETH]), only=frozenset([ETH]), actions=frozenset(["close"])
    )
    assert refused(scope, Action.CLOSE, ETH) == ""
    assert refused(scope, Action.CLOSE, BTC, held=True) == "symbol"
    assert refused(scope, Action.OPEN, ETH) == "action"


def test_an_address_runs_out() -> None:
    scope = Scope(symbols=frozenset([BTC]), expires_at=NOW)
    assert refused(scope, Action.CLOSE, now=NOW - timedelta(microseconds=1)) == ""
    assert refused(scope, Action.CLOSE) == "address"


def test_settings_are_read_as_they_were_written() -> None:
    told = {
        "expires_at": NOW.isoformat(),
        "actions": ["close"],
        "symbols": ["ETHUSDT"],
        "entries_per_minute": 3,
        "sell": "close",
    }
    assert read_scope(frozenset([BTC, ETH]), told) == Scope(
        symbols=frozenset([BTC, ETH]),
        only=frozenset([ETH]),
        actions=frozenset(["close"]),
        expires_at=NOW,
        entries_per_minute=3,
    )
    assert read_scope(frozenset([BTC]), {}) == Scope(symbols=frozenset([BTC]))


def test_of_a_turn_that_may_not_enter_the_closing_half_is_taken() -> None:
    turn = draft(Action.REVERSE)
    for scope, symbol in (
        (Scope(symbols=frozenset([BTC]), actions=frozenset(["close", "reduce"])), BTC),
        (Scope(symbols=frozenset([ETH])), BTC),
    ):
        taken = admit(draft(Action.REVERSE, symbol), scope, lambda: True, NOW)
        assert (taken.action, taken.side, taken.symbol) == (Action.CLOSE, PositionSide.SHORT, BTC)
    assert admit(turn, Scope(symbols=frozenset([BTC])), lambda: False, NOW) == turn


@pytest.mark.parametrize("action", [Action.OPEN, Action.ADD, Action.REVERSE])
def test_an_entry_is_not_turned_into_anything(action: Action) -> None:
    with pytest.raises(InvalidValue):
        admit(draft(action), Scope(symbols=frozenset([ETH])), lambda: False, NOW)


def test_of_an_open_that_will_turn_the_closing_half_is_taken_too() -> None:
    alert, scope = draft(Action.OPEN, ETH), Scope(symbols=frozenset([BTC]))
    taken = admit(alert, scope, lambda: True, NOW, lambda: True)
    assert (taken.action, taken.side) == (Action.CLOSE, PositionSide.SHORT)
    assert admit(draft(Action.OPEN), scope, lambda: True, NOW, lambda: True).action is Action.OPEN
    with pytest.raises(InvalidValue):
        admit(alert, scope, lambda: True, NOW, lambda: False)
