"""Every shape of alert through flat, long, flat, short, flat: in order, doubled and swapped, and
never a wrong-way order.

The alerts take the real path: the reader, then the ledger with its rules of order and repetition. A
small model of one follower carries out what was recorded, and a model of the strategy checks it: an
entry of a side where the strategy is not is a failure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path

import apsw
import pytest
from alert_templates import (
    DOWN,
    FLAT,
    LESS,
    MORE,
    OUT_OF_LONG,
    OUT_OF_SHORT,
    PATH,
    TO_SHORT,
    UP,
    Change,
    Shape,
    shapes,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.domain.identifiers import CopyId, ReceiptId, SignalId, StrategyId
from engine.domain.signal import NO_ORDER_KEY, Action, OrderKey, Signal
from engine.ledger import Ledger
from engine.ledger.query import fetch_one
from engine.ledger.signals import NewSignal, read_signal, record_signal
from plugins.tradingview.alert import read_alert
from plugins.tradingview.messages import STRATEGY_MESSAGE
from rexalgo import InvalidValue, plain

PAGE = Path(__file__).parents[2] / "docs" / "tradingview.md"
BEGINNING = datetime(2026, 11, 24, 10, 0, 0, 300_000, tzinfo=UTC)
SHAPES = shapes(STRATEGY_MESSAGE)
_numbers = count()


def ledger() -> apsw.Connection:
    db = Ledger.in_memory().db
    db.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES ('p', "
        "'p', 0, x'00', 'k', x'00')"
    )
    db.execute("INSERT INTO master VALUES ('m', 'm', 'p')")
    db.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
        "created_us)"
        " VALUES ('s', 'trend', 'm', 'copy_trading', '[]', '5', 'tradingview', '{}', 0)"
    )
    db.execute(
        "INSERT INTO account (id, name, person_id, exchange, environment, sealed, row_version, "
        "created_us)"
        " VALUES ('a', 'a', 'p', 'paper', 'paper', x'00', 1, 0)"
    )
    db.execute(
        "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us) VALUES ('u', "
        "'a', 's', '{}', 0)"
    )
    return db


@dataclass
class Follower:
    """A model follower that carries out at once what is recorded."""

    db: apsw.Connection
    position: str = FLAT
    entered: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    taken: int = 0
    entry_key: OrderKey = NO_ORDER_KEY

    def get(self, body: bytes, at: datetime) -> None:
        try:
            draft = read_alert(body, at, reverses=False)
        except InvalidValue as error:
            self.refusals.append(f"{error.field}: {error.expected}")
            return
        name = f"{next(_numbers)}"
        new = NewSignal(
            id=SignalId(f"sig-{name}"),
            receipt=ReceiptId(f"rcp-{name}"),
            new_copy_id=lambda: CopyId(f"cp-{name}"),
            strategy=StrategyId("s"),
            origin="endpoint:tv",
            draft=draft,
            body_hash=body[:32].ljust(32),
            decided_at=min(draft.sent_at or at, at),
            received_at=at,
            is_told=draft.sent_at is not None,
        )
        recorded = record_signal(self.db, new)
        if not recorded.is_new:
            return
        self.taken += 1
        row = fetch_one(
            self.db,
            "SELECT code, number FROM copy JOIN signal ON number = signal_number WHERE signal.id "
            "= ?",
            (recorded.id,),
        )
        assert row is not None
        self._carry_out(read_signal(self.db, row[1]), is_late=row[0] == "skipped.superseded")
        self.db.execute("UPDATE copy SET code = 'filled' WHERE code IS NULL")
        self.db.execute("UPDATE leg SET state = 'claimed' WHERE state = 'new'")

    def _carry_out(self, signal: Signal, *, is_late: bool) -> None:
        action, side = (
            signal.draft.action,
            None if signal.draft.side is None else signal.draft.side.value.lower(),
        )
        may_close = signal.order_key > self.entry_key
        if may_close and (
            (action is Action.CLOSE and side in (None, self.position))
            or (action is Action.REVERSE and self.position != side)
        ):
            self.position = FLAT
        enters = (
            self.position == FLAT
            if action in (Action.OPEN, Action.REVERSE)
            else action is Action.ADD and self.position == side
        )
        if side is not None and enters and not is_late:
            self.position, self.entry_key = side, signal.entry_key
            self.entered.append(side)


def walk(
    shape: Shape, groups: Sequence[Sequence[Change]], *, twice: bool = False, swapped: bool = False
) -> Follower:
    """Send groups of orders, each group within one moment. Raise AssertionError for an entry of a
    side where the strategy is not.
    """
    follower, at = Follower(ledger()), BEGINNING
    for group in groups:
        at += timedelta(minutes=5)
        bodies = [(change, shape.body(change, at)) for change in group]
        for step, (change, body) in enumerate(reversed(bodies) if swapped else bodies):
            is_at = group[-1][1] if swapped else change[1]
            for again in range(2 if twice else 1):
                follower.entered.clear()
                if body is not None:
                    follower.get(body, at + timedelta(milliseconds=400 * step + 150 * again))
                assert set(follower.entered) <= {is_at}, (
                    f"{shape.name}: {body!r} entered {follower.entered}, the strategy is {is_at}"
                )
        assert follower.position in (FLAT, group[-1][1]) or follower.refusals, (
            f"{shape.name}: left {follower.position} at {group}"
        )
    return follower


def pairs() -> Iterator[tuple[Change, Change]]:
    yield from pairwise(PATH)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda each: each.name)
@pytest.mark.parametrize("twice", [False, True])
def test_the_path_in_order_and_doubled_makes_no_wrong_way_order(shape: Shape, twice: bool) -> None:
    walk(shape, [[change] for change in PATH * 2], twice=twice)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda each: each.name)
@pytest.mark.parametrize("twice", [False, True])
def test_two_orders_of_one_moment_in_either_order_make_no_wrong_way_order(
    shape: Shape, twice: bool
) -> None:
    for at, pair in enumerate(pairs()):
        walk(shape, [*([each] for each in PATH[:at]), pair], twice=twice)
        if not (
            shape.is_bare and pair == (DOWN, OUT_OF_SHORT)
        ):  # nobody can tell this from a long one in order; the page says so
            walk(shape, [*([each] for each in PATH[:at]), pair], twice=twice, swapped=True)


HAS_NO_KEY = [each for each in SHAPES if not each.is_bare and each.name != "our own body"]


@pytest.mark.parametrize("shape", HAS_NO_KEY, ids=lambda each: each.name)
@pytest.mark.parametrize("swapped", [False, True])
def test_a_turn_and_its_close_of_one_moment_make_no_wrong_way_order_after_two_turns_that_nobody_could_order(
    shape: Shape, swapped: bool
) -> None:
    for first, other in (("long", "short"), ("short", "long")):
        walk(
            shape,
            [
                [(FLAT, first)],
                [(first, other), (other, first)],
                [(first, other), (other, FLAT)],
                [(FLAT, first)],
                [(first, FLAT)],
            ],
            swapped=swapped,
        )


TELLS_BEFORE = [
    each
    for each in SHAPES
    if "prev_market_position}}" in each.text
    or ("contracts" in each.text and "{{strategy.position_size" in each.text)
]
walks = st.lists(
    st.tuples(
        st.lists(st.sampled_from([FLAT, "long", "short"]), min_size=1, max_size=2),
        st.booleans(),
        st.booleans(),
    ),
    max_size=8,
)


def walked(
    shape: Shape, steps: list[tuple[list[str], bool, bool]]
) -> Iterator[tuple[Follower, str, bool]]:
    """Walk anywhere, one or two orders at a time, in order or swapped, once or twice; nothing
    enters where the strategy is not.

    Yield, after each step, the follower, the strategy's position, and whether the follower must
    have the same position.
    """
    follower, at, stands = Follower(ledger()), BEGINNING, FLAT
    for targets, swapped, twice in steps:
        at += timedelta(minutes=5)
        stood_right = follower.position == stands
        changes = []
        for target in targets:
            if target != stands:
                changes.append((stands, target))
                stands = target
        for step, change in enumerate(reversed(changes) if swapped else changes):
            body = shape.body(change, at)
            assert body is not None
            for again in range(2 if twice else 1):
                follower.entered.clear()
                follower.get(body, at + timedelta(milliseconds=400 * step + 150 * again))
                assert set(follower.entered) <= {stands if swapped else change[1]}
        yield follower, stands, stood_right and (len(changes) == 1 or not swapped)


@settings(max_examples=60)
@given(st.sampled_from(TELLS_BEFORE), walks)
def test_whatever_the_strategy_does_its_followers_stand_where_it_stands_or_flat(
    shape: Shape, steps: list[tuple[list[str], bool, bool]]
) -> None:
    for follower, stands, is_sure in walked(shape, steps):
        assert follower.position == stands or (follower.position == FLAT and not is_sure)


NAMELESS = ("WunderTrading: EXIT-ALL", "TradersPost: exit, bullish and bearish")
"""Their exits name neither side nor position; the page says what that costs."""


TELLS_ITS_CLOSES = next(each for each in SHAPES if each.name == "Bybit: side, reduce_only")


@settings(max_examples=60)
@given(st.sampled_from([each for each in HAS_NO_KEY if each.name not in NAMELESS]), walks)
@example(
    TELLS_ITS_CLOSES,
    [([FLAT], False, False), (["long", FLAT], True, False), (["long", "short"], True, False)],
)
@example(TELLS_ITS_CLOSES, [(["long", "short"], True, False), (["long", "short"], True, False)])
@example(
    SHAPES[0],
    [
        (["long"], False, False),
        ([FLAT, "long"], True, False),
        (["short", "long"], False, False),
        (["short", "long"], True, False),
    ],
)
def test_whatever_the_strategy_does_no_alert_that_tells_a_side_enters_where_it_is_not(
    shape: Shape, steps: list[tuple[list[str], bool, bool]]
) -> None:
    """Walk anywhere, as above; what stood wrong before is not judged, only what is entered."""
    for _ in walked(shape, steps):
        pass


# The page


SHOWN = {
    UP: "flat to long",
    OUT_OF_LONG: "long to flat",
    DOWN: "flat to short",
    OUT_OF_SHORT: "short to flat",
    TO_SHORT: "long to short",
    MORE: "long to more",
    LESS: "long to less",
}


def becomes(shape: Shape, change: Change) -> str:
    body = shape.body(change, BEGINNING)
    if body is None:
        return ""
    try:
        draft = read_alert(body, BEGINNING, reverses=False)
    except InvalidValue as error:
        return f"refused: {error.field}"
    side = "" if draft.side is None else f" {draft.side.value.lower()}"
    part = "" if draft.size.fraction is None else f" by {plain(draft.size.fraction)}"
    return f"{draft.action.value}{side}{part}"


def swapped_ends(shape: Shape) -> str:
    """Return the follower's position after each pair of orders that arrive swapped."""
    ends = []
    for at, pair in enumerate(pairs()):
        if shape.is_bare and pair == (DOWN, OUT_OF_SHORT):
            ends.append("not told apart")
        else:
            follower = walk(shape, [*([each] for each in PATH[:at]), pair], swapped=True)
            ends.append("refused" if not follower.taken else follower.position)
    return ", ".join(ends)


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def page() -> str:
    """Return docs/tradingview.md as the code defines it."""
    words: dict[tuple[str, str, str], list[str]] = {}
    rows = []
    for shape in SHAPES:
        cells = [becomes(shape, change) for change in SHOWN]
        rows.append(
            f"| {cell(shape.name)} | {' | '.join(map(cell, cells))} | {swapped_ends(shape)} |"
        )
        for change in SHOWN:
            body = shape.body(change, BEGINNING)
            try:
                if body is not None:
                    read_alert(body, BEGINNING, reverses=False)
            except InvalidValue as error:
                words.setdefault((shape.name, error.field, error.expected), []).append(
                    SHOWN[change]
                )
    told_words = [
        f"| {cell(name)} | {', '.join(orders)} | `{where}` | {cell(expected)} |"
        for (name, where, expected), orders in words.items()
    ]
    faults = [
        f"| `{cell(told)}` | `{error.field}` | {cell(error.expected)} |"
        for told, error in refusals()
    ]
    return "\n".join(
        [
            *HEAD,
            "",
            f"| alert | {' | '.join(SHOWN.values())} | two at once, swapped |",
            "|---" * (len(SHOWN) + 2) + "|",
            *rows,
            "",
            *MIDDLE,
            "",
            "| alert | order | field | expected |",
            "|---|---|---|---|",
            *told_words,
            "",
            "## Other refused messages",
            "",
            "| message | field | expected |",
            "|---|---|---|",
            *faults,
            "",
            *TAIL,
            "",
        ]
    )


HEAD = """# Results of TradingView alerts

Made by `python tests/plugins/test_alert_templates.py` from the alerts of the tests; a test keeps it current. Each row is the alert of
a service. Each column is one order of a strategy, of half a coin, from one position to another. `reverse` closes what is held on the
other side, and enters once that is closed. The rules are the tables at the top of `plugins/tradingview/meaning.py` and `forms.py`.

The last column shows two simultaneous orders whose alerts arrive swapped, for flat-long-flat, long-flat-short and flat-short-flat,
and the follower's position afterwards. No alert of any row, in order, doubled or swapped, enters a side where the strategy is not,
except where the cell says `not told apart`: a bare `buy` and then a bare `sell` are the same bytes as a long round trip, so the
follower opens a long, closes it at once, and ends flat. `flat` for a strategy that is short is an entry that was not accepted: the
answer, the signal and the outcome say so.""".splitlines()
MIDDLE = """A bare order (`buy`, `sell` and no position) opens and closes a long if its address is set to close, and reverses if its address
is set to reverse. That is right for a strategy that holds longs only, or is always in the market; for any other strategy paste the
studio's message. An exit that names neither side nor position (`exit`, `EXIT-ALL`) fits either side: if it arrives before the
reverse whose position it was to close, in the same moment, the reverse is accepted and stays open until the next exit. Empty cells: the
service has no such alert.

## Refused alerts""".splitlines()
TAIL = """A close by its word (`close`, `exit-long`, `flatten`), and every message that says that the strategy ends flat, is accepted whatever
else in it is unreadable. An exit that states a part of the position (`"close_percent": 50`, `"fraction": "0.5"`, a `quantity` whose unit is
percent of the position) reduces by it; 100 % closes, and a part with two meanings is refused (`"close_percent": 0.5`). A percentage that does
not say of what (`"percent": 5`, `"pct": "2.35"`, `"quantity": "10%"`) may be of the equity or a profit: beside an exit it says nothing, and
everything closes. A plain quantity is the master's own and closes everything too. An address that may only close accepts the closing half of a
reverse.

Only one order of a message is read. Of several (objects beside each other, members of a list, or lines, each with an action or a side), a close by its
word is accepted, and the fields of the others are counted in `ignored_fields`; what would enter is refused.

An id or a comment names an order an exit (`Short TP1`, `Close position order`) if it has a word of an exit, and otherwise only sides, numbers and
words that say little. Any other word leaves it in doubt (`RSI exits oversold`, `Chandelier Exit Buy`), and so does a stop, a target or a leverage
beside it: such an alert is refused, unless it states the position. The close of a candle (`bar_close`, `on close`) is no word of an exit. The same
holds for the kind of an event (`event_type`, `signal_type`), for the message of the script (`alert_message`), and for the reason of an exit
(`exit_reason`), which leaves a bare order in doubt whatever it says. A bare `close` chooses a price under a name such as `source` or `price_type`,
closes under a label, and is in doubt under any other name. Also in doubt are a status such as `closed`, because it may say that the order was filled,
and an object under a name that closes (`"exit": {"percent": 100}`), unless it is switched off.

A stop or target that the exchange executes needs an alert of the exit too: see [After a stop](webhooks.md#after-a-stop).""".splitlines()
FAULTS = (
    '{"action":"buy","symbol":"BTCUSDT",}',
    '{"action":"buy","symbol":"BTCUSDT","comment":"say "go" now"}',
    '{"action":"buy","symbol":"BTCUSDT"',
    'Alert: {"action":"buy","symbol":"BTCUSDT"}',
    '[{"action":"buy","symbol":"BTCUSDT"},{"action":"close","symbol":"BTCUSDT"}]',
    '{"orders":[{"action":"buy","symbol":"BTCUSDT"},{"action":"buy","symbol":"ETHUSDT"}]}',
    '{"Action":"buy","action":"buy","symbol":"BTCUSDT"}',
    '{"action":"buy","side":"sell","symbol":"BTCUSDT"}',
    '{"action":"buy","symbol":"BTCUSDT","ticker":"ETHUSDT"}',
    '{"action":"buy","symbol":"BTCUSDT","market_position":"sideways"}',
    '{"action":"buy","symbol":"BTCUSDT","market_position":"{{strategy.market_position}}"}',
    '{"action":"{{strategy.order.action}}","symbol":"BTCUSDT"}',
    '{"action":"sell","symbol":"BTCUSDT","current_position":"flat"}',
    '{"action":"sell","symbol":"BTCUSDT","market_postion":"flat"}',
    '{"action":"buy","symbol":"BTCUSDT","reduce_only":"maybe"}',
    '{"action":"sell","symbol":"BTCUSDT","market_position":"long"}',
    '{"action":"sell","symbol":"BTCUSDT","market_position":"short","reduce_only":true}',
    '{"action":"buy","symbol":"BTCUSDT","price":"65,000"}',
    '{"action":"buy","symbol":"BTCUSDT","sl":{"percent":2}}',
    '{"action":"buy","symbol":"BTCUSDT","tp1":"70000","tp2":"72000"}',
    '{"action":"buy","symbol":"BTCUSDT","stop_los":"60000"}',
    '{"action":"buy","symbol":"BTCUSDT","limit_price":"60000"}',
    '{"action":"buy","symbol":"BTCUSDT","is_test":true}',
    '{"action":"buy","symbol":"BTCUSDT","quantity":"a few"}',
    '{"action":"buy","symbol":"BTC/USD:BTC"}',
    '{"action":"add","symbol":"BTCUSDT"}',
    '{"action":"buy","symbol":"BTCUSDT","order_id":"Buy Stop"}',
    '{"action":"buy","symbol":"BTCUSDT","comment":"RSI exits oversold"}',
    '{"action":"buy","symbol":"BTCUSDT","comment":"TP1","stop_loss":"60000"}',
    '{"action":"buy","symbol":"BTCUSDT","status":"closed"}',
    '{"action":"buy","symbol":"BTCUSDT","exit":{"percent":100}}',
    '{"action":"long","symbol":"BTCUSDT","reduce_only":true}',
    '{"action":"close","symbol":"BTCUSDT","close_percent":0.5}',
    "close half BTCUSDT",
    "close BTCUSDT now, please",
    "close",
    "dance BTCUSDT",
)


def refusals() -> Iterator[tuple[str, InvalidValue]]:
    for told in FAULTS:
        with pytest.raises(InvalidValue) as caught:
            read_alert(told.encode(), BEGINNING, reverses=False)
        yield told, caught.value


def test_the_page_is_what_the_reader_does() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run python tests/plugins/test_alert_templates.py"
    )


def test_most_shapes_are_followed_along_the_whole_path() -> None:
    for shape in SHAPES:
        refused = {becomes(shape, change) for change in PATH} & {"refused: body"}
        if shape.is_bare or refused or becomes(shape, DOWN).startswith("close"):
            continue  # a sell that may be an exit is taken for one
        for at, change in enumerate(PATH, start=1):
            assert walk(shape, [[each] for each in PATH[:at]]).position == change[1], (
                f"{shape.name} at {change}"
            )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
