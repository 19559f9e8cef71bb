"""Who sees the metrics: somebody on this machine who asks directly, or whoever has the token."""

import pytest
from web_helpers import served

from engine.ports.secret import Secret
from web.settings import WebSettings

TOKEN = WebSettings(metrics_token=Secret("the-token"))


@pytest.mark.parametrize(
    ("settings", "headers", "status"),
    [
        (WebSettings(), {}, 200),
        (WebSettings(), {"x_forwarded_for": "203.0.113.9"}, 404),
        (WebSettings(), {"x_forwarded_for": "127.0.0.1"}, 404),
        (WebSettings(), {"host": "copy.example.org"}, 404),
        (WebSettings(trusts_here=False), {}, 404),
        (WebSettings(trusts_here=False), {"authorization": "Bearer the-token"}, 404),
        (TOKEN, {}, 401),
        (TOKEN, {"authorization": "Bearer the-token"}, 200),
        (TOKEN, {"authorization": "bearer  the-token "}, 200),
        (TOKEN, {"authorization": "Bearer the-token", "x_forwarded_for": "203.0.113.9"}, 200),
        (TOKEN, {"authorization": "Bearer the-toke"}, 401),
        (TOKEN, {"authorization": "Bearer the-token2"}, 401),
        (TOKEN, {"authorization": "Bearer"}, 401),
        (TOKEN, {"authorization": "Basic the-token"}, 401),
        (TOKEN, {"authorization": "Bearer \xe9"}, 401),
        (TOKEN, {"cookie": "token=the-token"}, 401),
    ],
)
async def test_the_metrics_are_shown_here_or_with_the_token(
    settings: WebSettings, headers: dict[str, str], status: int
) -> None:
    async with served(settings=settings) as site:
        answer = await site.ask("GET", "/metrics", **headers)
        assert answer.status == status
        assert (b"rexalgo_metrics 1" in answer.body) is (status == 200)
        assert b"the-token" not in answer.body
