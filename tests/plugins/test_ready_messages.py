"""The studio's messages to paste: the description beside each is what its address does."""

from datetime import UTC, datetime

import pytest

from engine.decisions.ready_messages import what_it_does, what_orders_do
from engine.domain.signal import SignalDraft
from plugins.tradingview.alert import read_alert
from plugins.tradingview.messages import MESSAGES, Kind, KindMessages
from rexalgo import InvalidValue, Symbol

BTC = Symbol("BTCUSDT")
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def read(body: bytes) -> SignalDraft:
    return read_alert(body, NOW, reverses=False)


def test_each_kind_of_strategy_has_a_message_and_its_orders() -> None:
    assert [each.kind for each in MESSAGES] == list(Kind)
    turns = "closes what is held on the other side, then opens "
    assert {
        each.kind: [step.does for step in what_orders_do(each.ready(BTC), read)]
        for each in MESSAGES
    } == {
        Kind.LONG_ONLY: ["opens long", "adds to the long", "closes 50% of the long", "closes all"],
        Kind.LONG_AND_SHORT: [
            "opens long",
            "closes all",
            "opens short",
            "closes all",
            "opens long",
            turns + "short",
        ],
        Kind.ALWAYS_IN_MARKET: ["opens long", turns + "short", turns + "long"],
    }


@pytest.mark.parametrize("ready", MESSAGES, ids=lambda each: each.kind.value)
def test_an_order_after_which_the_master_is_short_leaves_no_follower_flat(
    ready: KindMessages,
) -> None:
    for step, taken in zip(ready.steps, what_orders_do(ready.ready(BTC), read), strict=True):
        assert not taken.is_refused
        if step.after != 0 and abs(step.after) >= abs(step.before):
            assert taken.does.endswith("short" if step.after < 0 else "long")


@pytest.mark.parametrize("ready", MESSAGES, ids=lambda each: each.kind.value)
def test_an_indicators_events_do_what_they_are_called(ready: KindMessages) -> None:
    for event, text in ready.events:
        filled = text.replace("{{ticker}}", "BYBIT:BTCUSDT.P").replace(
            "{{timenow}}", "2026-11-24T10:00:00Z"
        )
        draft = read(filled.encode())
        assert draft.sent_at == NOW
        assert ("short" in event) == (draft.side is not None and draft.side.value == "SHORT"), (
            f"{event}: {what_it_does(draft)}"
        )
        assert ("leaves" in event) == (not draft.action.is_entry)


def test_a_refused_order_is_shown_as_refused() -> None:
    def refuse(body: bytes) -> SignalDraft:
        raise InvalidValue("action", "another word")

    assert {each.does for each in what_orders_do(MESSAGES[0].ready(BTC), refuse)} == {
        "refused: action: expected another word"
    }
