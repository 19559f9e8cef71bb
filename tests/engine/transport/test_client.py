"""The client that plugins get: which way a request takes, its answers, and its errors under both
names.
"""

import inspect

import httpx
import pytest

from engine.domain.network import LOOPBACK
from engine.ports import http as ports
from engine.transport import Answer, HttpClientFactory, errors
from engine.transport.client import PooledClient


def test_every_error_of_the_port_is_raised_as_one_that_is_httpxs_too() -> None:
    named = {
        name: error
        for name, error in vars(ports).items()
        if isinstance(error, type) and issubclass(error, ports.HttpError)
    }
    for name, error in named.items():
        if name in ("HttpError", "NotSent"):
            continue
        raised = getattr(errors, name)("text")
        assert isinstance(raised, error)
        assert isinstance(raised, httpx.HTTPError)
        if name != "HttpStatusError":
            assert isinstance(raised, getattr(httpx, name))
        assert str(raised) == "text"


def test_exactly_three_errors_prove_that_nothing_left() -> None:
    proofs = {each.__name__ for each in ports.NotSent.__subclasses__()}
    assert proofs == {"ConnectError", "ConnectTimeout", "PoolTimeout"}


def test_a_client_has_the_signature_of_its_port() -> None:
    theirs = inspect.signature(ports.HttpClient.request).parameters
    assert inspect.signature(PooledClient.request).parameters == theirs


@pytest.mark.parametrize(
    ("content_type", "content", "text"),
    [
        ("application/json", "ä".encode(), "ä"),
        ("text/plain; charset=ISO-8859-1", b"\xe4", "ä"),
        ('text/plain; Charset="utf-8"; x=y', "ä".encode(), "ä"),
        ("text/plain; charset=utf-7", b"+AOQ-", "+AOQ-"),
        ("text/plain; charset=hex", b"\xe4", "\ufffd"),
        ("", b"\xe4", "\ufffd"),
    ],
)
def test_text_is_read_in_a_common_charset(content_type: str, content: bytes, text: str) -> None:
    assert Answer(200, [(b"content-type", content_type.encode())], content).text == text


def test_a_status_other_than_2xx_is_raised_on_request() -> None:
    assert Answer(204, [], b"").raise_for_status().status_code == 204
    for status in (302, 404, 500):
        with pytest.raises(ports.HttpStatusError, match=f"found {status}"):
            Answer(status, [], b"").raise_for_status()


def test_json_is_read_with_options() -> None:
    assert Answer(200, [], b'{"a": 1.5}').json(parse_float=str) == {"a": "1.5"}
    with pytest.raises(ValueError, match="Expecting"):
        Answer(200, [], b"<html>").json()


def test_a_factory_knows_whether_it_made_a_client() -> None:
    for make in (lambda factory: factory("http://x"), lambda factory: factory.httpx("http://x")):
        factory = HttpClientFactory(reach=LOOPBACK)
        assert not factory.used
        make(factory)
        assert factory.used
