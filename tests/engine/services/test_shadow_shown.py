"""The figures of a shadow book by cases whose money can be worked out by hand."""

from datetime import timedelta

from engine.decisions.shadow import ShadowBook
from engine.domain.outcome import OutcomeCode
from engine.domain.signal import Action, OrderType, Signal, SignalSize, SizeMode
from engine.services.shadowing import Shadow, shadow_of
from tests.engine.decisions.decision_builders import LONG, NOW, D
from tests.engine.decisions.test_shadow import book, recorded, sent

TENTH = SignalSize(SizeMode.FRACTION, fraction=D("0.1"))


def shown(made: ShadowBook, *signals: Signal, until: int = 1_000) -> Shadow:
    for each in signals:
        made.take(each)
    at = NOW + timedelta(seconds=until)
    made.look(at)
    return shadow_of(made, until=at, is_whole=True)


def test_the_drawdown_takes_in_what_is_open_now() -> None:
    made = shown(book(recorded((0, "100"), (600, "90"))), sent(1, Action.OPEN, side=LONG))
    # 50 of margin at 5x are 2.5 units: 0.25 paid and 25 lost so far
    assert (made.result, made.open_pnl) == (D("-25.25"), D(-25))
    assert made.max_drawdown == D("25.25")
    assert made.curve[-1][1] == made.result


def test_the_closed_part_of_an_open_position_is_no_return() -> None:
    prices = recorded((0, "100"), (20, "110"), (600, "90"))
    signals = (sent(1, Action.OPEN, side=LONG), sent(30, Action.REDUCE, size=TENTH))
    made = shown(book(prices), *signals)
    assert (made.closed, len(made.positions)) == (1, 1)
    assert made.percent is None, "nine tenths are still open"
    made = shown(book(prices), *signals, sent(700, Action.CLOSE))
    assert (made.closed, len(made.positions)) == (2, 0)
    assert made.percent is not None
    assert made.percent == 100 * made.result / 50
    again = sent(800, Action.OPEN, side=LONG), sent(801, Action.REDUCE, size=TENTH)
    assert shown(book(prices), *signals, sent(700, Action.CLOSE), *again).percent == made.percent


def test_an_entry_is_copied_as_a_live_one_would_be() -> None:
    """A limit counts while it rests and once it filled, and no more when it was taken back."""
    limit = sent(1, Action.OPEN, side=LONG, order_type=OrderType.LIMIT, price=D(90))
    never, later = recorded((0, "100")), recorded((0, "100"), (400, "89"))
    for prices, until, counted in (
        (never, 500, (1, 1, [])),
        (later, 500, (1, 1, [])),
        (never, 1_000, (0, 1, [(OutcomeCode.CANCELLED, 1)])),
    ):
        made = shown(book(prices), limit, until=until)
        assert (made.copied, made.entries, made.missed) == counted
    again = sent(2, Action.OPEN, side=LONG)
    made = shown(book(never), sent(1, Action.OPEN, side=LONG), again)
    assert (made.copied, made.entries, made.missed) == (1, 1, []), "it was open already"
