"""Messages that a master pastes into TradingView, for three kinds of strategy, and what each order
of such a strategy will do. Pure.

One message serves every strategy script, because it carries the position before and after each
order: followers do what the script does, and none is left flat while the master is short. An
indicator knows no position; it has one alert for each event, with its own text.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from itertools import pairwise
from typing import Final

from rexalgo import ReadyMessage, Symbol

STRATEGY_MESSAGE: Final = """{"action": "{{strategy.order.action}}", "symbol": "{{ticker}}", "price": "{{close}}",
 "position": "{{strategy.market_position}}", "before": "{{strategy.prev_market_position}}",
 "size_after": "{{strategy.market_position_size}}", "size_before": "{{strategy.prev_market_position_size}}",
 "order_id": "{{strategy.order.id}}", "timenow": "{{timenow}}"}"""
"""The text of a strategy script's alert; TradingView fills in the double braces."""


class Kind(Enum):
    """The positions that a kind of strategy holds."""

    LONG_ONLY = "long_only"
    LONG_AND_SHORT = "long_and_short"
    ALWAYS_IN_MARKET = "always_in_market"


@dataclass(frozen=True, slots=True)
class Step:
    """One order of a strategy: the signed position before and after it."""

    before: Decimal
    after: Decimal

    @property
    def words(self) -> str:
        """Return what the order does to the strategy, such as ``long 1 to flat``."""
        return f"{_stand(self.before)} to {_stand(self.after)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindMessages:
    """What a master of one kind of strategy pastes: ``text`` for a script's alert, ``events`` for
    an indicator's, one for each event.
    """

    kind: Kind
    title: str
    text: str
    events: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]

    def ready(self, symbol: Symbol) -> ReadyMessage:
        """Return them with the alert of each order in ``symbol``, as TradingView fills it in."""
        orders = tuple(
            (each.words, _filled(self.text, each, symbol).encode()) for each in self.steps
        )
        return ReadyMessage(title=self.title, text=self.text, events=self.events, orders=orders)


def _steps(*positions: str) -> tuple[Step, ...]:
    sizes = [Decimal(each) for each in positions]
    return tuple(Step(before, after) for before, after in pairwise(sizes))


def _events(*events: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (event, f"{words} {{{{ticker}}}} timenow={{{{timenow}}}}") for event, words in events
    )


MESSAGES: Final = (
    KindMessages(
        kind=Kind.LONG_ONLY,
        title="Long only: it holds a long, or nothing",
        text=STRATEGY_MESSAGE,
        events=_events(("it goes long", "enter long"), ("it leaves", "close long")),
        steps=_steps("0", "1", "2", "1", "0"),
    ),
    KindMessages(
        kind=Kind.LONG_AND_SHORT,
        title="Long and short: it holds either, or nothing",
        text=STRATEGY_MESSAGE,
        events=_events(
            ("it goes long", "reverse to long"),
            ("it leaves a long", "close long"),
            ("it goes short", "reverse to short"),
            ("it leaves a short", "close short"),
        ),
        steps=_steps("0", "1", "0", "-1", "0", "1", "-1"),
    ),
    KindMessages(
        kind=Kind.ALWAYS_IN_MARKET,
        title="Always in the market: it turns from one side to the other",
        text=STRATEGY_MESSAGE,
        events=_events(
            ("it turns long", "reverse to long"), ("it turns short", "reverse to short")
        ),
        steps=_steps("0", "1", "-1", "1"),
    ),
)


def _filled(text: str, step: Step, symbol: str) -> str:
    """Fill in the placeholders for one order as TradingView does."""
    values = {
        "strategy.order.action": "buy" if step.after > step.before else "sell",
        "strategy.order.contracts": str(abs(step.after - step.before)),
        "strategy.order.id": "order",
        "strategy.market_position": _side(step.after),
        "strategy.prev_market_position": _side(step.before),
        "strategy.market_position_size": str(abs(step.after)),
        "strategy.prev_market_position_size": str(abs(step.before)),
        "ticker": symbol,
        "close": "1",
        "timenow": "2026-01-01T00:00:00Z",
    }
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def _side(position: Decimal) -> str:
    return "flat" if position == 0 else "long" if position > 0 else "short"


def _stand(position: Decimal) -> str:
    return _side(position) if position == 0 else f"{_side(position)} {abs(position)}"
