"""Mudrex's answers: mixed numbers, missing keys, nulls and HTML, and what each failure proves about
a write.
"""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from plugins.mudrex import parsing
from plugins.mudrex.adapter import MudrexAdapter
from plugins.mudrex.errors import judge_write, refused_by, unmapped
from plugins.mudrex.settings import MudrexSettings
from plugins.mudrex.simulator.contracts import CONTRACTS
from rexalgo import (
    Environment,
    ExchangeContext,
    InvalidValue,
    NotExecuted,
    OutcomeUnknown,
    Rejected,
    RejectionKind,
    TooManyRequests,
)

DOUBLY_ENCODED = (
    b'{"success":false,"message":"{\\"errors\\":[{\\"code\\":5002,\\"text\\":\\"API rate limit '
    b'exceeded\\"}]}"}'
)
ERROR = b'{"success":false,"errors":[{"code":400,"text":"%s"}]}'


@pytest.mark.parametrize(
    ("status", "content", "kind", "of"),
    [
        (400, ERROR % b"insufficient balance", Rejected, RejectionKind.BALANCE),
        (400, ERROR % b"Insufficient funds", Rejected, RejectionKind.BALANCE),
        (
            400,
            ERROR % b"order value less than minimum required value",
            Rejected,
            RejectionKind.BELOW_MINIMUM,
        ),
        (400, ERROR % b"position is not open", Rejected, RejectionKind.POSITION_NOT_OPEN),
        (404, ERROR % b"Position not found", Rejected, RejectionKind.POSITION_NOT_OPEN),
        (
            400,
            ERROR % b"quantity not a multiple of the quantity step",
            Rejected,
            RejectionKind.OTHER,
        ),
        (405, b"", NotExecuted, None),
        (
            401,
            b'{"success":false,"errors":[{"text":"Invalid Authentication","code":3100}]}',
            Rejected,
            RejectionKind.CREDENTIALS,
        ),
        (429, b"", TooManyRequests, None),
        (
            429,
            b'{"success":false,"message":"{\\"errors\\":[{\\"code\\":5002,\\"text\\":\\"API rate '
            b'limit exceeded\\"}]}"}',
            TooManyRequests,
            None,
        ),
        (423, b"busy", NotExecuted, None),
        (409, ERROR % b"client order id already exists", OutcomeUnknown, None),
        (500, b"<html>oops</html>", OutcomeUnknown, None),
        (503, b"", OutcomeUnknown, None),
        (200, b'{"success":false}', OutcomeUnknown, None),
        (403, b"<html>Request blocked</html>", NotExecuted, None),
        (404, b'{"message":"Not Found"}', NotExecuted, None),
        (400, b"", NotExecuted, None),
        (400, b'{"message":"insufficient balance"}', Rejected, RejectionKind.BALANCE),
        (405, b"method not allowed", NotExecuted, None),
        (
            404,
            b'{"code":404,"text":"requested resource was not found"}',
            Rejected,
            RejectionKind.OTHER,
        ),
        (302, b"", OutcomeUnknown, None),
    ],
)
def test_what_a_failed_write_proves(
    status: int, content: bytes, kind: type[Exception], of: RejectionKind | None
) -> None:
    error = judge_write(status, content)
    assert type(error) is kind
    assert getattr(error, "kind", None) is of


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (ERROR % b"leverage out of permissible range", Rejected),
        (ERROR % b"Rate limited", TooManyRequests),
        (DOUBLY_ENCODED, TooManyRequests),
        (ERROR % b"something went wrong", None),  # it may have been done all the same
        (b'{"success":false,"errors":[]}', None),
        (b'{"success":true,"errors":[{"text":"Rate limited"}],"data":1}', None),
        (b"", None),
    ],
)
def test_success_false_with_a_known_text_refuses_whatever_the_status(
    content: bytes, kind: type[Exception] | None
) -> None:
    told = refused_by(content)
    assert (None if told is None else type(told)) is kind


def test_a_wait_in_the_text_is_honoured_and_an_unlisted_text_is_counted() -> None:
    busy = judge_write(429, ERROR % b"Too many requests. Try again in 7 seconds.")
    assert isinstance(busy, NotExecuted)
    assert busy.retry_after_s == 7
    before = unmapped["something new"]
    told = judge_write(400, ERROR % b"something new")
    assert "not a known text" in str(told)
    assert unmapped["something new"] == before + 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"success":true}',
        b'{"success":false,"data":1}',
        b'{"success": tr',
    ],
)
def test_what_is_no_envelope_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own error is one too, and the words are nobody's contract
        parsing.data_of(content)


def test_null_is_an_empty_list_anything_else_is_none_and_numbers_keep_every_digit() -> None:
    assert parsing.rows_of(None) == []
    for data in ({}, "text", 1, False):
        with pytest.raises(ValueError, match="expected a list"):
            parsing.rows_of(data)
    data = parsing.data_of(b'{"success":true,"data":[{"q":0.10000000000000000001}]}')
    assert parsing.number(data[0], "q") == Decimal("0.10000000000000000001")


@pytest.mark.parametrize(
    "text", [None, 7, "", "soon", "2026-10-05", "2026-10-05T08:00:00", "0001-01-01T00:00:00+23:59"]
)
def test_a_time_without_a_zone_or_of_another_form_is_no_time(text: object) -> None:
    with pytest.raises(ValueError, match="expected a time with its zone"):
        parsing.moment(text)
    assert parsing.moment("2026-10-05T10:00:00+02:00") == datetime(2026, 10, 5, 8, tzinfo=UTC)


def test_an_id_of_version_7_says_when_it_was_made_and_an_answer_when_it_was_given() -> None:
    assert parsing.minted_at("01a10b32-9d16-7000-8000-000000000000") == datetime(
        2026, 10, 5, 8, 33, 48, 822000, tzinfo=UTC
    )
    for other in (
        "",
        "0198",
        "01a10b32-9d16-4000-8000-000000000000",
        "ffffffff-ffff-7fff-8fff-ffffffffffff",
    ):
        assert parsing.minted_at(other) is None
    assert parsing.date_of("Mon, 05 Oct 2026 08:33:49 GMT") == datetime(
        2026, 10, 5, 8, 33, 49, tzinfo=UTC
    )
    assert parsing.date_of(None) is parsing.date_of("soon") is None


def test_instruments_of_the_simulator_are_read() -> None:
    read = parsing.instrument(CONTRACTS["BTCUSDT"].row())
    assert (read.quantity_step, read.leverage_max) == (Decimal("0.001"), 100)


@pytest.mark.parametrize(
    ("base_url", "environment"),
    [
        ("https://trade.mudrex.com/fapi", Environment.LIVE),
        ("http://127.0.0.1:9000/fapi", Environment.SIMULATED),
    ],
)
def test_an_address_of_this_machine_is_simulated_and_every_other_is_live(
    base_url: str, environment: Environment
) -> None:
    settings = MudrexSettings.parse({"base_url": base_url, "orders_per_s": 5, "reads_per_s": 5})
    context: ExchangeContext = None  # type: ignore[assignment]  # not looked at: the address alone decides
    assert MudrexAdapter(settings).environment(context) is environment


@pytest.mark.parametrize(
    "base_url",
    ["http://trade.mudrex.com/fapi", "http://127.0.0.1.evil.example/", "ftp://127.0.0.1", 7],
)
def test_an_address_without_tls_beyond_this_machine_is_refused(base_url: object) -> None:
    with pytest.raises(InvalidValue):
        MudrexSettings.parse({"base_url": base_url, "orders_per_s": 5, "reads_per_s": 5})
