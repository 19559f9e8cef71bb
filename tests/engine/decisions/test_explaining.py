"""What a copy waits for and who has to act now: *nobody* only if nothing open needs anybody."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from decision_builders import BTC, D

from engine.decisions.explaining import (
    BY_THE_OWNER,
    CopyNow,
    ExitNow,
    LaneNow,
    LiveNow,
    UnprovenNow,
    explain,
)
from engine.domain.outcome import EXPLANATIONS, Outcome, OutcomeCode, WhoseMove

C, W = OutcomeCode, WhoseMove
NUMBERS = {name: "1" for each in EXPLANATIONS.values() for name in each.told}
EXIT = ExitNow(signal="sig-9", failed=0, problem="", is_refused=False, is_sent=False)
REFUSED = LiveNow(problem="Rejected: bad key", key_refused=True)


def now(**changes: Any) -> CopyNow:
    return replace(
        CopyNow(
            symbol=BTC,
            kind="exit",
            share=D("0"),
            side="",
            entries_open=0,
            master_left=False,
            is_sending=False,
            exit=None,
            unproven=None,
            live=LiveNow(),
        ),
        **changes,
    )


def standing(**changes: Any) -> CopyNow:
    """Return what stands though the master has left."""
    return now(share=D("2"), side="LONG", master_left=True, **changes)


WAITING: list[tuple[str, CopyNow, str, WhoseMove]] = [
    ("fresh", now(exit=EXIT), "It waits to be planned.", W.NOBODY),
    ("an entry before it", now(exit=EXIT, entries_open=1), "waits for an entry", W.NOBODY),
    (
        "what its lane waits for",
        now(exit=replace(EXIT, waits_for="an exit is not resolved yet")),
        "It waits: an exit is not",
        W.NOBODY,
    ),
    ("being sent", now(exit=EXIT, is_sending=True), "being sent", W.NOBODY),
    ("at the exchange", now(exit=replace(EXIT, is_sent=True)), "is looked up", W.NOBODY),
    (
        "failed once",
        now(exit=replace(EXIT, failed=1, problem="too many requests")),
        "too many requests",
        W.NOBODY,
    ),
    (
        "rate limited for long",
        now(exit=replace(EXIT, failed=3, problem="too many requests")),
        "failed 3 times (too many",
        W.OPERATOR,
    ),
    (
        "cannot be sent",
        now(exit=replace(EXIT, failed=9, problem="ConnectError: x")),
        "once a minute",
        W.OPERATOR,
    ),
    (
        "the exchange refuses",
        now(exit=replace(EXIT, failed=3, problem="no", is_refused=True)),
        "failed 3 times (no)",
        W.YOU,
    ),
    ("key dead", now(exit=EXIT, live=REFUSED), "refuses this account's key", W.YOU),
    (
        "key dead while it is sent",
        now(exit=EXIT, is_sending=True, live=REFUSED),
        "refuses this account's key",
        W.YOU,
    ),
    (
        "conservation",
        now(exit=EXIT, live=LiveNow(exits_wait=True)),
        "contradicted the record",
        W.OPERATOR,
    ),
    (
        "conservation and a dead key",
        now(exit=EXIT, live=replace(REFUSED, exits_wait=True)),
        "contradicted",
        W.OPERATOR,
    ),
    (
        "an unknown entry",
        now(exit=EXIT, unproven=UnprovenNow("entry", False)),
        "is being looked up",
        W.NOBODY,
    ),
    (
        "an entry without trace",
        now(exit=EXIT, unproven=UnprovenNow("entry", True)),
        "a person decides",
        W.OPERATOR,
    ),
    ("quarantine", now(exit=EXIT, live=LiveNow(quarantined=True)), "waits to be planned", W.NOBODY),
    ("no engine", now(exit=EXIT, live=None), "No engine runs here", W.OPERATOR),
    ("entry: fresh", now(kind="entry"), "waits to be planned", W.NOBODY),
    (
        "entry: behind an exit",
        now(kind="entry", lane=LaneNow(waits_for="an exit stands before it")),
        "It waits: an exit stands",
        W.NOBODY,
    ),
    ("entry: being sent", now(kind="entry", is_sending=True), "being sent", W.NOBODY),
    ("entry: key dead", now(kind="entry", live=REFUSED), "refuses this account's key", W.YOU),
    (
        "entry: quarantine",
        now(kind="entry", live=LiveNow(quarantined=True)),
        "account release",
        W.OPERATOR,
    ),
    (
        "entry: unknown before it",
        now(kind="entry", unproven=UnprovenNow("exit", False)),
        "unknown list",
        W.NOBODY,
    ),
    (
        "entry: without trace before it",
        now(kind="entry", unproven=UnprovenNow("exit", True)),
        "unknown list",
        W.OPERATOR,
    ),
    (
        "entry: unreadable account",
        now(kind="entry", live=LiveNow(problem="TimeoutError")),
        "reading of the account",
        W.OPERATOR,
    ),
    (
        "protection: failing",
        now(kind="protection", lane=LaneNow(3, "TooSlowError"), live=LiveNow(problem="502")),
        "It failed 3 times (TooSlowError), and the old stop and target stay",
        W.OPERATOR,
    ),
    ("protection: one failure", now(kind="protection", lane=LaneNow(1)), "planned", W.NOBODY),
    ("entry: no engine", now(kind="entry", live=None), "No engine runs here", W.OPERATOR),
]


@pytest.mark.parametrize(
    ("copy", "words", "move"), [each[1:] for each in WAITING], ids=[each[0] for each in WAITING]
)
def test_a_copy_without_outcome_says_what_it_waits_for_and_whose_move_it_is(
    copy: CopyNow, words: str, move: WhoseMove
) -> None:
    told = explain(None, copy)
    assert words in told.sentence
    assert (told.move, told.now) == (move, "")


@pytest.mark.parametrize("code", OutcomeCode)
def test_nobody_is_said_of_no_outcome_while_a_position_stands_that_the_master_left(
    code: OutcomeCode,
) -> None:
    told = explain(Outcome(code, NUMBERS), standing())
    assert "LONG 2 BTCUSDT of this strategy" in told.now or code in (
        C.UNKNOWN,
        C.PLACED,
        C.PARTIALLY_FILLED,
    )
    if code not in (
        C.SKIPPED_CARRIED,
        C.UNKNOWN,
        C.PLACED,
        C.PARTIALLY_FILLED,
    ):  # the next close, or proof, takes it without anybody
        assert told.move is W.YOU


@pytest.mark.parametrize("code", OutcomeCode)
def test_nobody_is_said_of_no_outcome_while_a_key_is_dead_and_something_stands(
    code: OutcomeCode,
) -> None:
    for left, under_way in product((False, True), (None, EXIT)):
        told = explain(
            Outcome(code, NUMBERS),
            now(share=D("2"), side="LONG", master_left=left, exit=under_way, live=REFUSED),
        )
        assert told.move is W.YOU
        assert "refuses this account's key" in told.now


@pytest.mark.parametrize("code", OutcomeCode)
def test_nobody_is_said_of_no_outcome_while_its_exit_keeps_failing(code: OutcomeCode) -> None:
    failing = replace(EXIT, failed=4, problem="closed for maintenance")
    for refused, move in ((True, W.YOU), (False, W.OPERATOR)):
        told = explain(Outcome(code, NUMBERS), standing(exit=replace(failing, is_refused=refused)))
        assert told.move is move
        assert "closed for maintenance" in told.now


@pytest.mark.parametrize("code", OutcomeCode)
def test_where_nothing_stands_and_nothing_is_wrong_the_code_says_whose_move_it_is(
    code: OutcomeCode,
) -> None:
    told = explain(Outcome(code, NUMBERS), now())
    assert (told.move, told.now) == (EXPLANATIONS[code].move, "")
    assert "?" not in told.sentence


ENDED: list[tuple[str, Outcome, CopyNow, str, WhoseMove]] = [
    (
        "closing goes well",
        Outcome(C.FILLED, NUMBERS),
        standing(exit=EXIT),
        "closing it is under way (signal sig-9)",
        W.NOBODY,
    ),
    (
        "an exit without trace",
        Outcome(C.NOT_CONFIRMED, NUMBERS),
        standing(unproven=UnprovenNow("exit", True)),
        "unknown list",
        W.OPERATOR,
    ),
    (
        "held since a later entry",
        Outcome(C.SKIPPED_SUPERSEDED, NUMBERS),
        now(share=D("2"), side="LONG"),
        "counts as later",
        W.NOBODY,
    ),
    (
        "nothing closed of the other side",
        Outcome(C.SKIPPED_NOTHING_TO_CLOSE, NUMBERS),
        now(share=D("2"), side="LONG"),
        "other side",
        W.NOBODY,
    ),
    (
        "a reduce leaves the rest",
        Outcome(C.FILLED, NUMBERS),
        now(share=D("2"), side="LONG", is_part=True),
        "closes a part only",
        W.NOBODY,
    ),
    (
        "carried",
        Outcome(C.SKIPPED_CARRIED, NUMBERS),
        standing(),
        "the next close takes it",
        W.NOBODY,
    ),
    (
        "unreadable row",
        Outcome(C.SKIPPED_NOTHING_TO_CLOSE, NUMBERS),
        now(live=LiveNow(unreadable="status ODD")),
        "status ODD",
        W.YOU,
    ),
    (
        "the owner's own",
        Outcome(C.SKIPPED_NOTHING_TO_CLOSE, NUMBERS),
        now(live=LiveNow(own="LONG 3")),
        "LONG 3 BTCUSDT that no",
        W.NOBODY,
    ),
    (
        "unknown, key dead",
        Outcome(C.UNKNOWN, NUMBERS),
        now(live=REFUSED),
        "refuses this account's key",
        W.YOU,
    ),
    (
        "unknown entry, key dead",
        Outcome(C.UNKNOWN, NUMBERS),
        now(kind="entry", live=REFUSED),
        "refuses this account's key",
        W.YOU,
    ),
    (
        "unknown entry, no engine",
        Outcome(C.UNKNOWN, NUMBERS),
        now(kind="entry", live=None),
        "No engine runs",
        W.OPERATOR,
    ),
    (
        "unknown, looked up",
        Outcome(C.UNKNOWN, NUMBERS),
        now(exit=replace(EXIT, is_sent=True)),
        "",
        W.NOBODY,
    ),
    (
        "not ready, key dead",
        Outcome(C.DENIED_ACCOUNT_NOT_READY, NUMBERS),
        now(kind="entry", live=REFUSED),
        "",
        W.YOU,
    ),
    (
        "switched off by the owner",
        Outcome(C.SKIPPED_ENTRIES_OFF, {"scope": "account a", "note": BY_THE_OWNER}),
        now(kind="entry"),
        "",
        W.YOU,
    ),
    (
        "an entry while it holds",
        Outcome(C.SKIPPED_ALREADY_OPEN, NUMBERS),
        now(kind="entry", share=D("2"), side="LONG"),
        "",
        W.NOBODY,
    ),
]


@pytest.mark.parametrize(
    ("outcome", "copy", "words", "move"),
    [each[1:] for each in ENDED],
    ids=[each[0] for each in ENDED],
)
def test_an_outcome_is_told_with_what_stands_now(
    outcome: Outcome, copy: CopyNow, words: str, move: WhoseMove
) -> None:
    told = explain(outcome, copy)
    assert words in told.now
    assert told.move is move
    assert words or told.now == ""
