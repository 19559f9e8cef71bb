"""Alerts in real forms, and how a strategy's orders fill them in: the shapes for
``test_alert_templates``.

A shape is a text with TradingView's placeholders, or one text for each change of position.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

FLAT, LONG, SHORT = "flat", "long", "short"
Change = tuple[str, str]
"""The strategy's position before and after an order."""
UP, OUT_OF_LONG, DOWN, OUT_OF_SHORT = (FLAT, LONG), (LONG, FLAT), (FLAT, SHORT), (SHORT, FLAT)
TO_SHORT, TO_LONG, MORE, LESS = (LONG, SHORT), (SHORT, LONG), (LONG, LONG), ("long ", LONG)
PATH: Final = (UP, OUT_OF_LONG, DOWN, OUT_OF_SHORT)
HALF: Final = Decimal("0.5")
OKX: Final = (
    '{"action":"ACTION","instrument":"BTC-USDT-SWAP","signalToken":"t","timestamp":"{{timenow}}",'
    '"maxLag":"60","orderType":"market","investmentType":"PART","amount":"100"}'
)


@dataclass(frozen=True)
class Shape:
    """The alerts of one service: ``text`` for every order, else one of ``texts`` for each change.

    ``is_bare`` alerts contain ``buy`` or ``sell`` and nothing about the position.
    """

    name: str
    text: str = ""
    texts: Mapping[Change, str] | None = None
    is_bare: bool = False

    def body(self, change: Change, at: datetime) -> bytes | None:
        """Return the alert of one order as TradingView sends it, or None if the shape has no text
        for it.
        """
        text = self.text if self.texts is None else self.texts.get(change)
        return None if text is None else filled(text, change, at).encode()


def filled(text: str, change: Change, at: datetime) -> str:
    """Fill in the placeholders of one order: a whole position is 0.5, a part leaves 0.2."""
    before, after = (each.strip() for each in change)
    has_part = change == LESS
    size_before = Decimal(0) if before == FLAT else HALF
    size_after = (
        Decimal(0)
        if after == FLAT
        else Decimal("0.2")
        if has_part
        else HALF * (2 if change == MORE else 1)
    )
    sign = {FLAT: 0, LONG: 1, SHORT: -1}
    signed = size_after * sign[after]
    moved = signed - size_before * sign[before]
    values = {
        "strategy.order.action": "buy" if moved > 0 else "sell",
        "strategy.order.contracts": f"{abs(moved)}",
        "strategy.order.id": "Close entry(s) order Long" if after == FLAT else after.title(),
        "strategy.order.comment": "first line\nsecond\tline",
        "strategy.order.price": "65000.5",
        "strategy.market_position": after,
        "strategy.prev_market_position": before,
        "strategy.market_position_size": f"{size_after}",
        "strategy.prev_market_position_size": f"{size_before}",
        "strategy.position_size": f"{signed}",
        "ticker": "BTCUSDT.P",
        "exchange": "BYBIT",
        "close": "65000.5",
        "timenow": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "time": (at - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:00Z"),
    }
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def _each(entry: str, exit_text: str) -> dict[Change, str]:
    """Return one text for each change, from two texts with the words SIDE and ORDER."""
    words = {
        UP: ("long", "buy", entry),
        DOWN: ("short", "sell", entry),
        OUT_OF_LONG: ("long", "sell", exit_text),
        OUT_OF_SHORT: ("short", "buy", exit_text),
        TO_LONG: ("long", "buy", entry),
        TO_SHORT: ("short", "sell", entry),
    }
    return {
        change: text.replace("SIDE", side).replace("ORDER", order)
        for change, (side, order, text) in words.items()
    }


def _caps(texts: dict[Change, str]) -> dict[Change, str]:
    return {
        change: text.replace("long", "LONG").replace("short", "SHORT")
        for change, text in texts.items()
    }


def _only(texts: dict[Change, str], *changes: Change) -> dict[Change, str]:
    return {change: texts[change] for change in changes}


def shapes(studio: str) -> tuple[Shape, ...]:
    """Return every shape. ``studio`` is the message of the studio."""
    order, position = '"action":"{{strategy.order.action}}"', '"{{strategy.market_position}}"'
    return (
        Shape("the studio's message", studio),
        Shape(
            "TradersPost: sentiment, time",
            '{"ticker":"{{ticker}}",'
            + order
            + ',"sentiment":'
            + position
            + ',"quantity":"{{strategy.order.contracts}}","price":"{{close}}","time":"{{timenow}}"}',
        ),
        Shape(
            "TradersPost: sentiment alone",
            '{"ticker":"{{ticker}}",' + order + ',"sentiment":' + position + "}",
        ),
        Shape(
            "TradersPost: exit, bullish and bearish",
            texts={
                UP: '{"ticker":"BTCUSDT","action":"buy","sentiment":"bullish","stopLoss":{"type":"stop","stopPrice":60000}}',
                DOWN: '{"ticker":"BTCUSDT","action":"sell","sentiment":"bearish"}',
                OUT_OF_LONG: '{"ticker":"BTCUSDT","action":"exit"}',
                OUT_OF_SHORT: '{"ticker":"BTCUSDT","action":"exit"}',
            },
        ),
        Shape(
            "Tickerly",
            "{"
            + order
            + ',"symbol":"{{ticker}}","market_position":'
            + position
            + ',"prev_position":"{{strategy.prev_market_position}}","position_size":"{{strategy.market_position_size}}",'
            '"comment":"{{strategy.order.comment}}"}',
        ),
        Shape(
            "3Commas: strategy_info",
            '{"secret":"s","bot_uuid":"b","timestamp":"{{timenow}}","tv_exchange":"{{exchange}}",'
            '"tv_instrument":"{{ticker}}",'
            + order
            + ',"order":{"amount":"{{strategy.order.contracts}}","currency_type":"base"},'
            '"strategy_info":{"market_position":'
            + position
            + ',"prev_market_position":"{{strategy.prev_market_position}}"}}',
        ),
        Shape(
            "Pionex: data, signed size",
            '{"data":{' + order + ',"contracts":"{{strategy.order.contracts}}",'
            '"position_size":"{{strategy.position_size}}"},"price":"{{close}}","symbol":"BTCUSDT","signal_type":"x","time":"{{timenow}}"}',
        ),
        Shape(
            "OKX: marketPosition",
            '{"id":"{{strategy.order.id}}",'
            + order
            + ',"marketPosition":'
            + position
            + ',"prevMarketPosition":"{{strategy.prev_market_position}}","instrument":"{{ticker}}",'
            '"signalToken":"t","timestamp":"{{timenow}}","maxLag":"60","investmentType":"base",'
            '"amount":"{{strategy.order.contracts}}"}',
        ),
        Shape(
            "OKX: ENTER_LONG, EXIT_LONG",
            texts=_caps(
                _each(
                    OKX.replace("ACTION", "ENTER_SIDE").replace("PART", "percentage_balance"),
                    OKX.replace("ACTION", "EXIT_SIDE").replace("PART", "percentage_position"),
                )
            )
            | {
                LESS: OKX.replace("ACTION", "EXIT_LONG")
                .replace("PART", "percentage_position")
                .replace("100", "60")
            },
        ),
        Shape(
            "Bybit: side, reduce_only",
            texts=_each(
                '{"side":"ORDER","symbol":"BTCUSDT","qty":"0.5","order_type":"market","reduce_only":false}',
                '{"side":"ORDER","symbol":"BTCUSDT","qty":"0.5","order_type":"market","reduce_only":true}',
            ),
        ),
        Shape(
            "Binance: closePosition",
            texts=_each(
                '{"symbol":"BTCUSDT","side":"ORDER","type":"MARKET"}',
                '{"symbol":"BTCUSDT","side":"ORDER","type":"MARKET","closePosition":"true"}',
            ),
        ),
        Shape(
            "Binance: positionSide",
            texts=_each(
                '{"symbol":"BTCUSDT","side":"ORDER","positionSide":"SIDE"}',
                '{"symbol":"BTCUSDT","side":"ORDER","positionSide":"SIDE"}',
            ),
        ),
        Shape(
            "WunderTrading",
            texts=_caps(
                _each("ENTER-SIDE_Bybit_BTC/USDT_bot_5M_a1", "EXIT-SIDE_Bybit_BTC/USDT_bot_5M_a1")
            ),
        ),
        Shape(
            "WunderTrading: EXIT-ALL",
            texts=_caps(_each("ENTER-SIDE_Bybit_BTCUSDT_a1", "EXIT-ALL_Bybit_BTCUSDT_a1")),
        ),
        Shape(
            "PineConnector",
            texts=_each("6012345678901,ORDER,BTCUSDT,risk=1", "6012345678901,closeSIDE,BTCUSDT"),
        ),
        Shape(
            "Alertatron",
            texts=_each(
                "BTCUSDT { market(side=ORDER, amount=1); }", "BTCUSDT { market(position=0); }"
            ),
        ),
        Shape(
            "Autoview",
            texts=_each(
                "e=bybit s=BTCUSDT b=SIDE q=1 t=market", "e=bybit s=BTCUSDT c=position t=market"
            ),
        ),
        Shape(
            "OctoBot (a bare order)",
            "EXCHANGE = bybit; SYMBOL = {{ticker}}; SIGNAL = {{strategy.order.action}}",
            is_bare=True,
        ),
        Shape("a bare order", "{" + order + ',"symbol":"{{ticker}}"}', is_bare=True),
        Shape(
            "a strategy's default text",
            "MACD (12, 26, 9): order {{strategy.order.action}} @ {{strategy.order.contracts}} "
            "filled on {{ticker}}. "
            "New strategy position is {{strategy.position_size}}",
        ),
        Shape(
            "self-written: camelCase",
            '{"passphrase":"p","orderAction":"{{strategy.order.action}}","ticker":"{{ticker}}",'
            '"marketPosition":'
            + position
            + ',"prevMarketPosition":"{{strategy.prev_market_position}}","time":"{{timenow}}"}',
        ),
        Shape(
            "self-written: strategy{...}",
            '{"passphrase":"p","ticker":"{{ticker}}","strategy":{"order_action":'
            '"{{strategy.order.action}}","order_id":"{{strategy.order.id}}","market_position":'
            + position
            + ',"market_position_size":{{strategy.market_position_size}},"prev_market_position_size":'
            "{{strategy.prev_market_position_size}}}}",
        ),
        Shape(
            "self-written: signed size alone",
            '{"side":"{{strategy.order.action}}","ticker":"{{ticker}}",'
            '"position_size":"{{strategy.position_size}}"}',
        ),
        Shape("words", texts=_each("enter SIDE BTCUSDT", "close SIDE BTCUSDT")),
        Shape(
            "words in JSON",
            texts=_each(
                '{"action":"open_SIDE","symbol":"BTC-USDT-SWAP"}',
                '{"action":"exit-SIDE","symbol":"BTC-USDT-SWAP"}',
            ),
        ),
        Shape(
            "our own body",
            texts=_each(
                '{"action":"open","symbol":"BTCUSDT","side":"SIDE","idempotency_key":"SIDE-in"}',
                '{"action":"close","symbol":"BTCUSDT","side":"SIDE","idempotency_key":"SIDE-out"}',
            ),
        ),
        Shape(
            "a form",
            "action={{strategy.order.action}}&symbol=BYBIT%3A{{ticker}}&market_position={{strategy.market_position}}"
            "&prev_market_position={{strategy.prev_market_position}}",
        ),
    )
