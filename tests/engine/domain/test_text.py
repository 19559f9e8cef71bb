"""What a database or UTF-8 refuses is refused where it comes in; an exchange's words stop nothing."""

from datetime import UTC, datetime

import pytest

from engine.commands import Commands
from engine.context import EngineContext
from engine.domain.account import ClosedPosition, Position, UnreadableRow
from engine.domain.amounts import Price, Quantity
from engine.domain.errors import InvalidValue
from engine.domain.identifiers import Symbol
from engine.domain.order import OrderReport, OrderSide, OrderStatus
from engine.domain.signal import Action, PositionSide, SignalDraft
from engine.domain.text import for_people, may_be_kept
from engine.ledger.codec import dump
from engine.ports.exchange import FeeKind, FeeReport, OutcomeUnknown, Rejected

NOW = datetime(2026, 11, 24, tzinfo=UTC)
BTC = Symbol("BTCUSDT")
NEVER_KEPT = ["a\x00b", "\ud800", "x\udfff", "\x00"]


def order(identifier: str = "x1", reason: str = "", position: str = "") -> OrderReport:
    return OrderReport(
        exchange_order_id=identifier,
        client_order_id=None,
        symbol=BTC,
        side=OrderSide.BUY,
        quantity=Quantity(1),
        status=OrderStatus.REJECTED,
        filled_quantity=Quantity(0),
        average_price=None,
        fee=None,
        created_at=NOW,
        reason=reason,
        position_id=position,
    )


def position(identifier: str) -> Position:
    one = Price(1)
    return Position(BTC, PositionSide.LONG, Quantity(1), one, one, one, one, one, id=identifier)  # type: ignore[arg-type]


def closed(identifier: str, order_id: str = "") -> ClosedPosition:
    return ClosedPosition(
        identifier,
        BTC,
        PositionSide.LONG,
        Quantity(1),
        Price(1),
        None,
        NOW,
        NOW,
        order_id=order_id,
    )


@pytest.mark.parametrize("text", ["", "plain", "Ünïcödé", "\U0001f600", "line\nend\t", "￿"])
def test_any_other_text_is_kept(text: str) -> None:
    assert may_be_kept(text)
    assert for_people(text) == text


@pytest.mark.parametrize("text", NEVER_KEPT)
def test_an_id_that_could_not_be_kept_is_refused(text: str) -> None:
    for make in (
        lambda: order(text),
        lambda: order(position=text),
        lambda: position(text),
        lambda: closed(text),
        lambda: closed("p", text),
        lambda: FeeReport(text, BTC, FeeKind.TRADE, 1, 0, "USDT", NOW),  # type: ignore[arg-type]
        lambda: SignalDraft(text, Action.OPEN, BTC, PositionSide.LONG),
    ):
        with pytest.raises(InvalidValue, match="no NUL, no lone surrogate") as refused:
            make()
        str(refused.value).encode()


@pytest.mark.parametrize("text", NEVER_KEPT)
def test_words_of_an_exchange_are_kept_without_it(text: str) -> None:
    row = UnreadableRow("order", text, None, text)
    for kept in (
        Rejected(text).text,
        OutcomeUnknown(text).text,
        order(reason=text).reason,
        row.id,
        row.problem,
    ):
        assert "�" in kept
        dump({"cause": kept}).encode()


@pytest.mark.parametrize("text", NEVER_KEPT)
async def test_a_command_with_such_a_word_is_refused(text: str) -> None:
    commands = Commands(EngineContext.__new__(EngineContext))
    for given in (text, ["fine", text]):
        with pytest.raises(InvalidValue, match="note: expected valid Unicode text"):
            await commands.run("halt", {"note": given})
