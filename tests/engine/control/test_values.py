"""What travels between the two processes arrives as it left; what must not be made from the wire is
refused.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.control.link import AskedBy
from engine.control.values import Unreadable, read_raised, read_value, write_raised, write_value
from engine.decisions.terms import TermsWarning
from engine.domain.errors import EngineAway, InvalidValue, NothingThere, OwnFault, RexAlgoError
from engine.domain.identifiers import ReceiptId, SignalId, StrategyId, Symbol
from engine.domain.person import Role
from engine.domain.signal import Action, PositionSide, SignalDraft
from engine.keys.handover import Handover, seal
from engine.ledger import LedgerError
from engine.ledger.signals import DedupeConflict, Recorded
from engine.ports.secret import Secret
from engine.recording import Taken
from engine.services.identity import NotSignedIn
from engine.services.user import FormErrors, LookFirst, NeedsConfirmation
from engine.views import Reception, ReceptionKind

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
TAKEN = Taken(
    strategy=StrategyId("s"),
    origin="endpoint:e",
    draft=SignalDraft("k", Action.OPEN, Symbol("BTCUSDT"), PositionSide.LONG),
    content=b'{"a": 1}\xff',
    sent_at=None,
    received_at=NOW,
)


def across(value: object) -> Any:
    """Return a value as the other process reads it."""
    return read_value(json.loads(json.dumps(write_value(value))))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        1.5,
        "a text",
        Decimal("0.100"),
        NOW,
        date(2026, 11, 29),
        timedelta(minutes=-5, microseconds=7),
        b"\x00\xff",
        {"a": (1, 2), "b": {}},
        {1: "one"},
        frozenset({Role.MASTER, Role.FOLLOWER}),
        ("nested", ("deep", ())),
        Action.REVERSE,
        TAKEN,
        Reception(kind=ReceptionKind.INVALID, field="size", expected="a number"),
    ],
)
def test_a_value_arrives_as_it_left(value: object) -> None:
    arrived = across(value)
    assert arrived == value
    assert type(arrived) is type(value)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.binary()
        | st.decimals(allow_nan=False),
        lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_whatever_is_nested_arrives_as_it_left(value: object) -> None:
    assert across(value) == value


def test_a_secret_arrives() -> None:
    assert across(Secret("the text")).reveal() == "the text"
    assert across(AskedBy(Secret("sid"), "192.0.2.1")).sid.reveal() == "sid"


@dataclass(frozen=True)
class Stranger:
    """A value of no room of the engine."""

    text: str


@pytest.mark.parametrize("value", [object(), Stranger("a"), print, NOW.tzinfo])
def test_what_is_no_value_of_the_engine_does_not_travel(value: object) -> None:
    with pytest.raises(Unreadable):
        write_value(value)


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"$": "decimal"},
        {"$": "decimal", "v": "many"},
        {"$": "time", "v": 5},
        {"$": "bytes", "v": "?"},
        {"$": "map", "v": [[1]]},
        {"$": "set", "v": [[{"$": "map", "v": []}]]},
        {"$": "engine.domain.signal:SignalDraft", "v": {"dedupe_key": "k"}},
        {"$": "engine.domain.signal:SignalDraft", "v": []},
        {"$": "engine.domain.signal:Action", "v": "NO_SUCH"},
        {"$": "engine.domain.signal:SignalDraft.__init__", "v": {}},
        {"$": 7, "v": {}},
    ],
)
def test_what_arrives_in_another_form_is_refused(written: Any) -> None:
    with pytest.raises(Unreadable):
        read_value(written)


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "builtins:eval",
        "subprocess:Popen",
        "engine.settings.config:Config",
        "engine.ledger:Ledger",
        "engine.ledger.writer:ThreadRunner",
        "engine.domain.errors:InvalidValue",
        "engine.services.identity:IdentityService",
        "engine.services.user:User",
    ],
)
def test_only_named_kinds_of_values_are_made(name: str) -> None:
    with pytest.raises(Unreadable, match="expected a frozen value of the engine"):
        read_value({"$": name, "v": {}})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FormErrors({"name": "expected a name", "": "no"}), FormErrors),
        (NotSignedIn(30), NotSignedIn),
        (NeedsConfirmation("show a factor"), NeedsConfirmation),
        (InvalidValue("size", "a number", "x"), InvalidValue),
        (NothingThere("no such thing"), NothingThere),
        (DedupeConflict("used before"), DedupeConflict),
        (LedgerError("the disk is full"), LedgerError),
        (OwnFault("broken"), OwnFault),
        (EngineAway("stopping"), EngineAway),
        (RexAlgoError("no"), RexAlgoError),
    ],
)
def test_an_error_keeps_its_kind_and_words(error: RexAlgoError, kind: type[RexAlgoError]) -> None:
    arrived = read_raised(json.loads(json.dumps(write_raised(error))))
    assert type(arrived) is kind
    assert str(arrived) == str(error)


def test_a_conflict_keeps_the_signal_of_its_id() -> None:
    first = Recorded(id=SignalId("sig_1"), receipt=ReceiptId("rcp_1"), is_new=False, copies=2)
    error = DedupeConflict("used before", first, is_done=True)
    arrived = read_raised(json.loads(json.dumps(write_raised(error))))
    assert isinstance(arrived, DedupeConflict)
    assert (arrived.recorded, arrived.is_done) == (first, True)


def test_warnings_to_confirm_keep_what_is_confirmed() -> None:
    warning = TermsWarning("leverage", "Leverage 100 is beyond what any exchange here takes.")
    arrived = read_raised(write_raised(LookFirst([warning], "100 BTCUSDT")))
    assert isinstance(arrived, LookFirst)
    assert (arrived.warnings, arrived.confirmed) == ((warning,), "100 BTCUSDT")


def test_only_the_running_engine_opens_what_was_sealed_for_it() -> None:
    engine = Handover()
    sealed = seal(engine.public, b"the key of an exchange")
    assert b"exchange" not in sealed
    assert engine.open(sealed) == b"the key of an exchange"
    for other, text in ((Handover(), sealed), (engine, sealed[:-1]), (engine, b"")):
        with pytest.raises(InvalidValue):
            other.open(text)
