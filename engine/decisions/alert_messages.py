"""Messages that a master pastes into TradingView, for three kinds of strategy, and what each order
of such a strategy will do. Pure.

One message serves every strategy script, because it carries the position before and after each
order: followers do what the script does, and none is left flat while the master is short. An
indicator knows no position; it has one alert for each event, with its own text. ``what_orders_do``
calls the same reader as the webhook, so what is shown is what happens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from itertools import pairwise
from typing import Final

from engine.domain.errors import InvalidValue
from engine.domain.signal import Action, SignalDraft

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
class ReadyMessage:
    """What a master of one kind of strategy pastes: ``text`` for a script's alert, ``events`` for
    an indicator's, one for each event.
    """

    kind: Kind
    title: str
    text: str
    events: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class StepTaken:
    """What one order becomes: ``does`` is the signal in words, or the refusal if ``is_refused``."""

    order: str
    does: str
    is_refused: bool


def _steps(*positions: str) -> tuple[Step, ...]:
    held = [Decimal(each) for each in positions]
    return tuple(Step(before, after) for before, after in pairwise(held))


def _events(*events: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (event, f"{words} {{{{ticker}}}} timenow={{{{timenow}}}}") for event, words in events
    )


READY_MESSAGES: Final = (
    ReadyMessage(
        kind=Kind.LONG_ONLY,
        title="Long only: it holds a long, or nothing",
        text=STRATEGY_MESSAGE,
        events=_events(("it goes long", "enter long"), ("it leaves", "close long")),
        steps=_steps("0", "1", "2", "1", "0"),
    ),
    ReadyMessage(
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
    ReadyMessage(
        kind=Kind.ALWAYS_IN_MARKET,
        title="Always in the market: it turns from one side to the other",
        text=STRATEGY_MESSAGE,
        events=_events(
            ("it turns long", "reverse to long"), ("it turns short", "reverse to short")
        ),
        steps=_steps("0", "1", "-1", "1"),
    ),
)


def what_orders_do(
    ready: ReadyMessage, symbol: str, read: Callable[[bytes], SignalDraft]
) -> Sequence[StepTaken]:
    """Return what the alert of each order of a kind of strategy becomes; ``read`` is the webhook's
    reader and may raise InvalidValue.
    """
    return [_taken(each, _filled(ready.text, each, symbol), read) for each in ready.steps]


def _taken(step: Step, text: str, read: Callable[[bytes], SignalDraft]) -> StepTaken:
    try:
        return StepTaken(step.words, what_it_does(read(text.encode())), is_refused=False)
    except InvalidValue as error:
        return StepTaken(
            step.words, f"refused: {error.field}: expected {error.expected}", is_refused=True
        )


def what_it_does(draft: SignalDraft) -> str:
    """Return in words what a signal asks every follower's account to do."""
    side = "" if draft.side is None else draft.side.value.lower()
    if draft.action is Action.REDUCE and draft.size.fraction is not None:
        return f"closes {draft.size.fraction:.0%} of the {side or 'position'}"
    words: dict[Action, str] = {
        Action.OPEN: f"opens {side}",
        Action.ADD: f"adds to the {side}",
        Action.CLOSE: f"closes the {side}" if side else "closes all",
        Action.REVERSE: f"closes what is held on the other side, then opens {side}",
        Action.REDUCE: "closes a part",
        Action.CANCEL: "takes resting entries back",
        Action.SET_PROTECTION: "moves stop and target",
    }
    return words[draft.action]


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
