"""``rexalgo signal send``: the bytes that it sends, the key of a body without one, what it prints."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from plugins.signed_webhook import SignedWebhook
from rexalgo.cli import main

URL = "https://copy.example/api/webhooks/copy-trading/one"
SECRET = SignedWebhook().new_secret().reveal()
TAKEN = {"ok": True, "signal_id": "sig_1", "duplicate": False, "receipt": "/api/receipts/rcp_1"}


@dataclass
class Server:
    """A server that keeps what came and gives one answer, or none."""

    status: int = 202
    answer: dict[str, Any] = field(default_factory=lambda: dict(TAKEN))
    bodies: list[bytes] = field(default_factory=list)

    def post(self, url: str, content: bytes, **_: object) -> httpx.Response:
        self.bodies.append(content)
        if not self.status:
            raise httpx.ReadTimeout("too slow")
        return httpx.Response(self.status, json=self.answer)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(httpx, "post", made.post)
    return made


def send(body: str | bytes, *options: str) -> Result:
    return CliRunner().invoke(
        main, ["signal", "send", "--url", URL, "--secret", SECRET, *options, "-"], input=body
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"idempotency_key": "k1", "action":"close","symbol":"BTCUSDT"}',
        b'{"idempotency_key": 20261130007, "action":"add","price": 1.10}',
        b'{"idempotencyKey": "k1", "action": "close"}',
        b'{"idempotency_key": "", "action": "close"}',
        b'{"idempotency_key": null, "action": "close"}',
        b'\xef\xbb\xbf{"idempotency_key": "k1", "action": "close"}',
    ],
)
def test_a_body_that_names_a_key_is_sent_as_it_is(server: Server, body: bytes) -> None:
    assert send(body).exit_code == 0
    assert server.bodies == [body]
    assert "--key" in send(body, "--key", "k2").output
    assert len(server.bodies) == 1


def test_a_body_without_a_key_gets_one_and_the_same_bytes_again_by_it(server: Server) -> None:
    body = '\ufeff { "action":"close",\n "price": 65000.12345678901234567890}'
    server.status = 0
    lost = send(body)
    assert lost.exit_code == 1
    key = json.loads(server.bodies[0].decode("utf-8-sig"))["idempotency_key"]
    assert f"send the same file with --key {key} again" in lost.output
    server.status = 202
    assert send(body, "--key", key).exit_code == 0
    assert server.bodies[1] == server.bodies[0]
    assert server.bodies[0].decode() == body.replace("{", f'{{"idempotency_key": "{key}", ', 1)
    assert send("{}", "--key", "k1").exit_code == 0
    assert server.bodies[2] == b'{"idempotency_key": "k1"}'
    server.status = 0
    assert "send the same file again" in send('{"idempotency_key": "k1"}').output


@pytest.mark.parametrize(
    "body", ['{"action":"open","symbol":"BTCUSDT","action":"close"}', "[]", "[[1, 2]]", "{", "7"]
)
def test_what_is_no_one_object_with_every_key_once_is_not_sent(server: Server, body: str) -> None:
    assert send(body).exit_code == 2
    assert server.bodies == []


def test_a_dry_run_prints_what_would_become_of_the_copies(server: Server) -> None:
    server.status, server.answer = (
        200,
        {
            "ok": True,
            "dry_run": True,
            "duplicate": False,
            "copies": 3,
            "would": {"order": 1, "skipped.paused": 2},
        },
    )
    shown = send('{"action":"close"}').output
    assert "200 dry run: nothing was recorded" in shown
    assert "1 order, 2 skipped.paused" in shown
    assert "None" not in shown


def test_a_refusal_prints_the_field_and_what_was_expected(server: Server) -> None:
    server.status, server.answer = (
        422,
        {
            "ok": False,
            "error": "invalid",
            "message": "A field of the body is wrong.",
            "field": "action",
            "expected": "one of open, close",
        },
    )
    shown = send('{"action":"exit"}')
    assert shown.exit_code == 1
    assert "action: expected one of open, close" in shown.output
