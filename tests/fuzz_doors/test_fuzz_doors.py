"""The fuzzer of the doors runs in every test run, on 20,000 requests: 8,000 to a served place, and
12,000 to the sources behind its doors. `make fuzz` sends all of them to the place, and more.
The judge is shown to notice a door that takes more than it may.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from engine.decisions import signatures
from engine.ledger.codec import write_draft
from plugins.signed_webhook import SignedWebhook, body
from plugins.tradingview import TradingView, alert
from rexalgo import Delivery, InvalidValue, NotAuthentic, Secret, Symbol, capability_key
from tests.fuzz_doors.fuzzed_place import fuzzed_place
from tests.fuzz_doors.fuzzing import Fuzzing
from tests.fuzz_doors.hostile import Hostile, Kind
from tests.fuzz_doors.judge import BODY_BYTES_MAX, Doors, Judge, requests_in

TOKEN = "t" * 43
DOORS = Doors("/signed", "whsec_" + "00112233445566778899aabbccddeeff" * 2, f"/hooks/tv/{TOKEN}")
TO_PLACE, TO_SOURCES = 8_000, 12_000
read_a = signatures._read_a


def test_hostile_requests_leave_a_place_that_answers_and_recorded_only_what_was_sent(
    tmp_path: Path,
) -> None:
    with fuzzed_place(tmp_path / "place") as at:
        figures = Fuzzing(at, seed=1).run(TO_PLACE)
    assert figures.answers.total() == TO_PLACE
    assert figures.signals > 400
    for told in ("signed 202", "signed 401", "signed 422", "alert 202", "alert 401"):
        assert figures.answers[told] > 50, figures.answers
    kinds = Counter(told.split()[0] for told in figures.answers.elements())
    assert kinds["http"] > 1_000, "a busy machine has answered few of them when their sender leaves"


def disagreements(inputs: int, seed: int = 2) -> Iterator[str]:
    """Give what whole requests say to the two sources directly; yield what the judge refuses of
    what they take.
    """
    judge = Judge(DOORS)
    sources: dict[str, tuple[str, Any, Secret]] = {
        DOORS.signed_path: ("signed", SignedWebhook(), Secret(DOORS.secret)),
        DOORS.address_path: ("address", TradingView(["127.0.0.1"]), capability_key(TOKEN)),
    }
    for sent in islice(Hostile(DOORS, seed, time.time).inputs(), inputs):
        now = datetime.now(UTC)
        judge.note(sent.raw, sent.peer, now.timestamp())
        for request in requests_in(sent.raw) if sent.kind is not Kind.HTTP else ():
            if request.path not in sources or len(request.body) > BODY_BYTES_MAX:
                continue  # the server refuses it in front of the door
            door, source, key = sources[request.path]
            delivery = Delivery(request.body, request.headers, sent.peer, now, Secret(TOKEN))
            try:
                draft = source.parse(delivery, source.authenticate(delivery, [key], now))
            except (InvalidValue, NotAuthentic):
                continue
            if draft.symbol == "BTCUSDT":  # another is refused behind the door
                digest = hashlib.sha256(request.body).digest()
                problem = judge.why_not(door, digest, json.loads(write_draft(draft)))
                if problem:
                    yield f"{problem}: {request.body!r} as {draft}"


def test_the_judge_agrees_with_both_doors() -> None:
    assert list(disagreements(TO_SOURCES)) == []


@pytest.mark.parametrize(
    ("where", "name", "weaker"),
    [
        (signatures._Claim, "is_signed_with", lambda *_: True),
        (signatures._Claim, "is_timely", lambda *_: True),
        (signatures, "_read_a", lambda values, window_s: read_a(values[:1], window_s)),
        (body, "_object", dict),
        (body, "_refuse_slips", lambda *_: None),
        (body, "refuse_marks_of_exits", lambda *_: None),
        (body, "_flag", lambda *_: False),
        (body, "_dedupe_key", lambda *_: "k"),
        (TradingView, "authenticate", lambda *_: None),
        (alert, "_symbol", lambda *_: Symbol("BTCUSDT")),
    ],
)
def test_the_judge_notices_a_door_that_takes_more(
    where: Any, name: str, weaker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, weaker)
    assert next(disagreements(TO_SOURCES), None)
