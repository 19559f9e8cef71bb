"""The bots' routes over real sockets: each row of the table of answers, the caps, and what a sender
never learns.
"""

import json

import pytest
import trio
from web_helpers import NOW, WEBHOOK, MemoryEngine, read_answer, request_bytes, served, signal_body

from engine.views import Reception, ReceptionKind
from web.bots import reception_answer
from web.settings import WebSettings

HOOKS = "/api/webhooks/copy-trading/"


async def test_an_accepted_signal_is_answered_with_202_and_its_receipt() -> None:
    async with served() as site:
        answer = await site.ask("POST", WEBHOOK, signal_body("k1"), x_key="right")
        assert answer.status == 202
        assert answer.json == {
            "ok": True,
            "signal_id": "sg_k1",
            "duplicate": False,
            "receipt": "/api/receipts/rc_k1",
        }


async def test_the_same_id_again_is_200_and_with_another_body_409() -> None:
    async with served() as site:
        await site.ask("POST", WEBHOOK, signal_body("k1"), x_key="right")
        again = await site.ask("POST", WEBHOOK, signal_body("k1"), x_key="right")
        assert (again.status, again.json["duplicate"], again.json["signal_id"]) == (
            200,
            True,
            "sg_k1",
        )
        other = await site.ask("POST", WEBHOOK, signal_body("k1", action="close"), x_key="right")
        assert (other.status, other.json["error"]) == (409, "conflict")
        assert (other.json["signal_id"], other.json["receipt"]) == ("sg_k1", "/api/receipts/rc_k1")
        assert "Only a new signal needs a new id" in other.json["message"]


async def test_an_entry_that_is_not_mirrored_says_so_and_why() -> None:
    async with served(MemoryEngine(entries_off=True)) as site:
        answer = await site.ask("POST", WEBHOOK, signal_body(), x_key="right")
        assert answer.status == 202
        assert (answer.json["mirrored"], answer.json["reason"]) == (False, "skipped.entries_off")


async def test_fields_that_nobody_knows_are_counted_back() -> None:
    answer = reception_answer(
        Reception(kind=ReceptionKind.ACCEPTED, signal_id="sg", receipt_id="rc", ignored_fields=2)
    )
    assert json.loads(await answer.get_data())["ignored_fields"] == 2


async def test_every_cause_of_401_has_one_and_the_same_body() -> None:
    async with served() as site:
        answers = [
            await site.ask("POST", WEBHOOK, signal_body(), x_key="wrong"),
            await site.ask("POST", WEBHOOK, signal_body()),
            await site.ask("POST", HOOKS + "unknown", signal_body(), x_key="right"),
            await site.ask("POST", HOOKS + "not%20an%20id", signal_body(), x_key="right"),
            await site.ask("POST", HOOKS + "a/b", signal_body(), x_key="right"),
            await site.ask("POST", HOOKS + "x" * 65, signal_body(), x_key="right"),
        ]
        assert {answer.status for answer in answers} == {401}
        assert len({answer.body for answer in answers}) == 1
        assert len({tuple(h for h in answer.headers if h[0] != "date") for answer in answers}) == 1


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [(b"{nonsense<script>", 400, "body"), (b'{"a": "<script>"}', 422, "idempotency_key")],
    ids=["json", "schema"],
)
async def test_a_bad_body_is_told_field_and_expectation_and_nothing_of_itself(
    body: bytes, status: int, field: str
) -> None:
    async with served() as site:
        answer = await site.ask("POST", WEBHOOK, body, x_key="right")
        assert (answer.status, answer.json["field"]) == (status, field)
        assert answer.json["expected"]
        assert b"script" not in answer.body


@pytest.mark.parametrize(
    ("endpoint", "status", "retry"),
    [("gone", 410, None), ("limited", 429, "7"), ("full", 503, "3")],
)
async def test_the_other_rows_of_the_table(endpoint: str, status: int, retry: str | None) -> None:
    async with served() as site:
        answer = await site.ask("POST", HOOKS + endpoint, signal_body(), x_key="right")
        assert (answer.status, answer.header("retry-after"), answer.json["ok"]) == (
            status,
            retry,
            False,
        )


@pytest.mark.parametrize("endpoint", ["raises", "raises_group"])
async def test_an_unexpected_failure_is_503_with_retry_after_and_tells_nothing(
    endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as site:
        answer = await site.ask("POST", HOOKS + endpoint, signal_body(), x_key="right")
        assert answer.status == 503
        assert int(answer.header("retry-after") or 0) >= 1
        assert b"secret" not in answer.body
    assert "could not be taken" in caplog.text


async def test_the_engine_gets_the_raw_body_and_every_header_in_order() -> None:
    async with served() as site:
        raw = b'  {"idempotency_key" : "k1"}\n\x00\xff'
        head = (
            b"POST "
            + WEBHOOK.encode()
            + b" HTTP/1.1\r\nHost: localhost\r\nX-Twice: one\r\nx-key: wrong\r\nX-TWICE: two\r\n"
        )
        stream = await site.connect()
        async with stream:
            await stream.send_all(head + f"Content-Length: {len(raw)}\r\n\r\n".encode() + raw)
            assert (await read_answer(stream)).status == 401
        (delivery,) = site.engine.deliveries
        assert delivery.body == raw
        assert delivery.header("x-twice") == ["one", "two"]
        assert [name for name, _ in delivery.headers] == [
            "host",
            "x-twice",
            "x-key",
            "x-twice",
            "content-length",
        ]
        assert (delivery.peer, delivery.received_at) == ("127.0.0.1", NOW)


async def test_a_body_of_16_kib_is_taken_and_one_byte_more_is_413() -> None:
    async with served() as site:
        room = 16 * 1024 - len(signal_body("k1", pad=""))
        assert (
            await site.ask("POST", WEBHOOK, signal_body("k1", pad="x" * room), x_key="right")
        ).status == 202
        answer = await site.ask(
            "POST", WEBHOOK, signal_body("k2", pad="x" * (room + 1)), x_key="right"
        )
        assert (answer.status, answer.json["error"]) == (413, "too_large")
        assert "k2" not in site.engine.taken


async def test_a_streamed_body_is_cut_off_at_the_cap_and_the_answer_still_arrives() -> None:
    async with served() as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(
                request_bytes("POST", WEBHOOK, transfer_encoding="chunked", x_key="right")
            )
            for _ in range(40):
                await stream.send_all(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            assert (await read_answer(stream)).status == 413
        assert not site.engine.deliveries


async def test_a_body_that_does_not_arrive_is_408() -> None:
    async with served(settings=WebSettings(body_timeout_s=0.1)) as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(
                request_bytes("POST", WEBHOOK, content_length="100", x_key="right") + b'{"idem'
            )
            answer = await read_answer(stream)
            assert (answer.status, answer.json["error"]) == (408, "too_slow")
        assert not site.engine.deliveries


async def test_a_sender_that_hangs_up_loses_no_signal_and_disturbs_nobody() -> None:
    async with served(MemoryEngine(hold=trio.Event())) as site:
        stream = await site.connect()
        await stream.send_all(request_bytes("POST", WEBHOOK, signal_body("k1"), x_key="right"))
        await site.engine.entered.wait()
        await stream.aclose()
        site.engine.hold = None
        again = await site.ask("POST", WEBHOOK, signal_body("k1"), x_key="right")
        assert (again.status, again.json["signal_id"]) == (200, "sg_k1")
        assert site.bound.guard.contained == 0


async def test_many_unsigned_posts_at_once_do_not_stop_a_signed_one() -> None:
    async with served() as site:
        statuses: list[int] = []

        async def stranger(number: int) -> None:
            statuses.append((await site.ask("POST", WEBHOOK, signal_body(f"bad{number}"))).status)

        async with trio.open_nursery() as nursery:
            for number in range(130):
                nursery.start_soon(stranger, number)
            assert (
                await site.ask("POST", WEBHOOK, signal_body("good"), x_key="right")
            ).status == 202
        assert statuses == [401] * 130


async def test_a_receipt_tells_counts_and_an_unknown_one_is_404() -> None:
    async with served() as site:
        taken = await site.ask("POST", WEBHOOK, signal_body("k1"), x_key="right")
        receipt = await site.ask("GET", str(taken.json["receipt"]))
        assert receipt.status == 200
        assert (receipt.json["copies"], receipt.json["outcomes"]) == (3, {"filled": 2})
        assert receipt.json["received_at"] == "2026-11-23T10:00:00.000Z"
        for unknown in ("rc_none", "..%2f..%2fetc", "a/b", "%00"):
            missing = await site.ask("GET", "/api/receipts/" + unknown)
            assert (missing.status, missing.json["error"]) == (404, "not_found")


async def test_health_and_readiness_follow_the_engine() -> None:
    async with served() as site:
        assert [(await site.ask("GET", path)).status for path in ("/api/health", "/api/ready")] == [
            200,
            200,
        ]
        site.engine.ok = False
        health, ready = [await site.ask("GET", path) for path in ("/api/health", "/api/ready")]
        assert (health.status, ready.status) == (503, 503)
        assert health.json["problems"] == ["the ledger cannot be written"]


async def test_names_of_failed_accounts_are_told_only_to_this_machine() -> None:
    async with served() as site:
        here = await site.ask("GET", "/api/ready")
        assert here.json["failures"] == {"f0003": "key refused"}
        elsewhere = await site.ask("GET", "/api/ready", x_forwarded_for="203.0.113.9")
        assert "failures" not in elsewhere.json
        assert elsewhere.json["accounts_failed"] == 1


async def test_wrong_address_and_wrong_method_are_json_under_api_and_a_page_elsewhere() -> None:
    async with served() as site:
        missing, method = await site.ask("GET", "/api/<b>"), await site.ask("GET", WEBHOOK)
        assert (missing.status, missing.json["error"]) == (404, "not_found")
        assert (method.status, method.json["error"], method.header("allow")) == (
            405,
            "method_not_allowed",
            "OPTIONS, POST",
        )
        page = await site.ask("GET", "/nothing/%3Cscript%3E")
        assert (page.status, page.header("content-type")) == (404, "text/html; charset=utf-8")
        assert b"<script>" not in page.body
        assert b"%3Cscript" not in page.body
        assert (
            await site.ask("GET", "//api//health")
        ).status == 400  # no redirect that repeats the path
