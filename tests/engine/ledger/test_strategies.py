"""Who sees a strategy, whatever its master stops, and what counts as an entry of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import apsw
import pytest

from engine.domain.identifiers import PersonId, StrategyId, Symbol
from engine.domain.signal import Action, OrderType, PositionSide, SignalDraft
from engine.domain.strategy import StrategyState
from engine.ledger import Ledger
from engine.ledger.breakers import busy_strategies
from engine.ledger.codec import to_us, write_draft
from engine.ledger.following import strategy_terms
from engine.ledger.results import strategies_for
from engine.ledger.studio import set_strategy_state

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    opened = Ledger.in_memory().db
    for name in ("mira", "stranger"):
        opened.execute(
            "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES (?1, "
            "?1, 0, randomblob(8), 'k', x'00')",
            (name,),
        )
    opened.execute("INSERT INTO master VALUES ('m', 'm', 'mira')")
    opened.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
        "created_us)"
        " VALUES ('s', 'trend', 'm', 'copy_trading', '[\"BTCUSDT\"]', '5', 'signed_webhook', "
        "'{}', 0)"
    )
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("states", "in_directory", "by_its_id"),
    [
        (["published"], True, True),
        (["published", "paused"], True, True),
        (["by_link"], False, True),
        (["by_link", "paused"], False, True),
        (["by_link", "paused", "published"], True, True),
        (["private"], False, False),
        (["private", "paused"], False, False),
        (["published", "private", "paused"], False, False),
        (["draft", "paused"], False, False),
        (["retired", "paused"], False, False),
        (["retired"], False, False),
    ],
)
def test_pausing_shows_a_strategy_to_nobody_new(
    db: apsw.Connection, states: list[str], in_directory: bool, by_its_id: bool
) -> None:
    for state in states:
        set_strategy_state(db, StrategyId("s"), StrategyState(state))
    assert bool(strategies_for(db, "stranger")) is in_directory
    assert bool(strategies_for(db, "stranger", "s")) is by_its_id
    assert (strategy_terms(db, "s", PersonId("stranger")) is not None) is by_its_id
    assert strategies_for(db, "mira")
    assert strategy_terms(db, "s", PersonId("mira"))


def test_test_signals_do_not_trip_the_breaker_of_entry_rates(db: apsw.Connection) -> None:
    for number in range(8):
        draft = SignalDraft(
            str(number),
            Action.OPEN,
            Symbol("BTCUSDT"),
            PositionSide.LONG,
            OrderType.MARKET,
            is_test=number < 6,
        )
        db.execute(
            "INSERT INTO signal (id, receipt_id, strategy_id, origin, dedupe_key, body_hash, "
            "symbol, draft, seq, order_key, decided_us,"
            " received_us, action, is_test) VALUES (?1, ?1, 's', 'o', ?1, x'00', 'BTCUSDT', ?2, 0, "
            "'', 0, ?3, 'open', ?4)",
            (
                str(number),
                write_draft(draft),
                to_us(NOW + timedelta(seconds=number)),
                int(draft.is_test),
            ),
        )
    assert [each[:2] for each in busy_strategies(db, NOW, 1)] == [("trend", 2)]
    assert busy_strategies(db, NOW, 2) == []
