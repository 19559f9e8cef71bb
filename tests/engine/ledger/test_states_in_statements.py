"""The state words in the schema and in statements are those of the enums.

Partial indexes and statements that name them must say the same words, so statements keep literals;
here each literal is found and compared.
"""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw
import pytest

from engine.decisions.order_lifecycle import AttemptState
from engine.domain.booking import BookState
from engine.domain.errors import InvalidMove
from engine.domain.identifiers import CopyId, StrategyId
from engine.domain.leg import LIVE_LEGS, LegState
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.strategy import StrategyState
from engine.domain.subscription import SubscriptionState
from engine.ledger import Ledger
from engine.ledger.following import set_agreement_state
from engine.ledger.outcomes import conclude
from engine.ledger.studio import set_strategy_state

NOW: Final = datetime(2026, 11, 29, tzinfo=UTC)
LEDGER: Final = Path(__file__).parents[3] / "engine" / "ledger"
STATE: Final = re.compile(r"\bstate (?:NOT IN|IN|=|!=) (\([^)?]*\)|'[a-z_]+')")

OPEN: Final = {each.value for each in AttemptState if each.is_open}
LEFT_OPEN: Final = {AttemptState.UNKNOWN.value, AttemptState.NOT_CONFIRMED.value}
SETS: Final = {
    "live legs": {each.value for each in LIVE_LEGS},
    "orders that may be working": OPEN,
    "open attempts": OPEN | {AttemptState.NOT_CONFIRMED.value},
    "orders that rest": {AttemptState.PLACED.value, AttemptState.PARTIALLY_FILLED.value},
    "unproven attempts": LEFT_OPEN,
    "tries that closed nothing": {
        each.value for each in (AttemptState.NEW, AttemptState.REJECTED, AttemptState.CANCELLED)
    },
    "orders that the exchange took": {
        each.value
        for each in (
            AttemptState.PLACED,
            AttemptState.PARTIALLY_FILLED,
            AttemptState.FILLED,
            AttemptState.CANCELLED,
        )
    },
    "unsettled fills": {BookState.OPEN.value, BookState.UNEXPLAINED.value},
    "strategies without entries": {each.value for each in StrategyState if not each.takes_entries},
    "agreements that their follower stopped": {
        SubscriptionState.PAUSED.value,
        SubscriptionState.LEFT.value,
    },
    "strategies shown to others": {StrategyState.PUBLISHED.value, StrategyState.BY_LINK.value},
}
"""Every list of states that a statement may name."""

WORDS: Final = {
    each.value
    for states in (LegState, AttemptState, StrategyState, SubscriptionState, BookState)
    for each in states
}


def literals() -> Iterator[tuple[str, tuple[str, ...]]]:
    for path in sorted(LEDGER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for found in STATE.finditer(re.sub(r"\s+", " ", node.value)):
                    yield path.name, tuple(re.findall(r"'(\w+)'", found[1]))


def test_every_state_that_a_statement_names_is_one_of_an_enum() -> None:
    found = list(literals())
    assert len(found) > 70, "the pattern finds the statements no more"
    assert [each for each in found if not set(each[1]) <= WORDS] == []


def test_every_list_of_states_in_a_statement_has_a_name_here() -> None:
    lists = [each for each in literals() if len(each[1]) > 1]
    assert [each for each in lists if set(each[1]) not in SETS.values()] == []
    used = [set(each[1]) for each in lists]
    assert [name for name, states in SETS.items() if states not in used] == []


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    opened = Ledger.in_memory().db
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("index", "states"),
    [
        ("leg_new", {LegState.NEW.value}),
        ("leg_new_entry", {LegState.NEW.value}),
        ("leg_live", SETS["live legs"]),
        ("attempt_open", SETS["open attempts"]),
        ("attempt_lane", {AttemptState.CLAIMED.value}),
        ("fill_open", {BookState.OPEN.value}),
        ("fill_unsettled", SETS["unsettled fills"]),
    ],
)
def test_a_partial_index_holds_what_the_enum_calls_so(
    db: apsw.Connection, index: str, states: set[str]
) -> None:
    ((text,),) = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (index,))
    (condition,) = STATE.findall(str(text))
    assert set(re.findall(r"'(\w+)'", condition)) == states


@pytest.mark.parametrize("table", ["strategy", "subscription"])
def test_what_a_new_row_says_is_a_state(db: apsw.Connection, table: str) -> None:
    states = StrategyState if table == "strategy" else SubscriptionState
    columns = {row[1]: row[4] for row in db.execute(f"PRAGMA table_info({table})")}
    assert columns["state"].strip("'") in {each.value for each in states}


def test_no_leg_ends_without_an_order_in_what_only_an_order_can_come_to(
    db: apsw.Connection,
) -> None:
    for code in (OutcomeCode.PLACED, OutcomeCode.UNKNOWN, OutcomeCode.NOT_CONFIRMED):
        with pytest.raises(InvalidMove):
            conclude(db, CopyId("c"), 1, Outcome(code), NOW)


def test_a_strategy_s_state_is_written_once(db: apsw.Connection) -> None:
    made(db)
    assert set_strategy_state(db, StrategyId("s"), StrategyState.PAUSED)
    assert not set_strategy_state(db, StrategyId("s"), StrategyState.PAUSED)
    assert not set_strategy_state(db, StrategyId("unknown"), StrategyState.PAUSED)
    assert db.execute("SELECT state, shown_as FROM strategy").get == ("paused", "published")


def test_an_agreement_is_stored_as_active_paused_or_left(db: apsw.Connection) -> None:
    made(db)
    for state in (SubscriptionState.PAUSED, SubscriptionState.ACTIVE, SubscriptionState.LEFT):
        assert set_agreement_state(db, "sub", state)
        assert not set_agreement_state(db, "sub", state)
        assert db.execute("SELECT state FROM subscription").get == state.value
    assert not set_agreement_state(db, "unknown", SubscriptionState.PAUSED)
    for state in (SubscriptionState.CONSENT, SubscriptionState.STRATEGY_PAUSED):
        with pytest.raises(InvalidMove):
            set_agreement_state(db, "sub", state)


def made(db: apsw.Connection) -> None:
    db.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped)"
        " VALUES ('p', 'p', 0, x'00', 'k', x'00')"
    )
    db.execute("INSERT INTO master VALUES ('m', 'm', 'p')")
    db.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params,"
        " created_us) VALUES ('s', 's', 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0)"
    )
    db.execute(
        "INSERT INTO account (id, name, person_id, exchange, environment, sealed, row_version,"
        " created_us) VALUES ('a', 'a', 'p', 'paper', 'paper', x'00', 1, 0)"
    )
    db.execute(
        "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us)"
        " VALUES ('sub', 'a', 's', '{}', 0)"
    )
