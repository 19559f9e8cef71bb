"""Requests as bytes: what is written, that httpx would ask for the same address, and that nothing
which is no HTTP is written.
"""

import traceback
from typing import Any

import h11
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ports.http import NotSent
from engine.transport.errors import ConnectError
from engine.transport.request import PreparedRequests, encoded_body

BASE = "https://exchange.example/v1/"
HEAD = b"".join(
    b"%b\r\n" % line
    for line in (
        b"Host: exchange.example",
        b"Accept: */*",
        b"Accept-Encoding: gzip, deflate",
        b"Connection: keep-alive",
        b"User-Agent: python-httpx/" + httpx.__version__.encode(),
    )
)


def written(method: str = "POST", path: str = "/orders", **how: Any) -> bytes:
    body, is_json = encoded_body(how.get("content"), how.get("json"))
    prepared = PreparedRequests(how.get("base", BASE), how.get("base_headers"))
    target = prepared.target(path, how.get("params"))
    return prepared.written(method, target, how.get("headers"), body, is_json=is_json)


def test_an_order_is_one_head_and_its_body() -> None:
    assert written(content=b"hello", base_headers={"X-Key": "k e\ty"}) == (
        b"POST /v1/orders HTTP/1.1\r\n" + HEAD + b"X-Key: k e\ty\r\nContent-Length: 5\r\n\r\nhello"
    )
    assert written(json={"a": "ä", "b": [1]}) == (
        b"POST /v1/orders HTTP/1.1\r\n"
        + HEAD
        + b"Content-Type: application/json\r\nContent-Length: 18\r\n\r\n"
        + '{"a":"ä","b":[1]}'.encode()
    )


def test_a_body_has_a_length_and_only_delete_goes_without() -> None:
    for method in ("POST", "PUT", "PATCH"):
        assert written(method).endswith(b"\r\nContent-Length: 0\r\n\r\n")
    assert b"Content-Length" not in written("DELETE")
    assert written("DELETE", content="ä").endswith(b"\r\nContent-Length: 2\r\n\r\n\xc3\xa4")
    assert written(json=None, content=b"") == written()
    assert written(json=0).endswith(b"\r\n\r\n0")


def test_a_header_replaces_one_of_the_same_name_whatever_its_case() -> None:
    raw = written(
        base_headers={"Content-Type": "text/plain", "x-a": "1", "host": "other"},
        headers={"X-A": "2", "USER-AGENT": "me"},
        json=1,
    )
    lines = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    names = [line.partition(b":")[0].lower() for line in lines]
    assert len(names) == len(set(names))
    assert {b"X-A: 2", b"USER-AGENT: me", b"host: other", b"Content-Type: text/plain"} <= {*lines}


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"symbol": "BTCUSDT"}, b"?symbol=BTCUSDT"),
        ({"a": "b c&d=e/ä", "n": 1}, b"?a=b+c%26d%3De%2F%C3%A4&n=1"),
        ({"yes": True, "no": False, "none": None}, b"?yes=true&no=false&none="),
        ({}, b""),
        (None, b""),
    ],
)
def test_parameters_become_the_query(params: Any, query: bytes) -> None:
    assert written(params=params).startswith(b"POST /v1/orders" + query + b" HTTP/1.1\r\n")


def test_parameters_join_a_query_that_the_path_has() -> None:
    assert written(path="/a?x=1", params={"y": "2"}).startswith(b"POST /v1/a?x=1&y=2 HTTP")


@given(
    st.text(st.sampled_from("/.~:@!$&'()*+,;=-_%?#aZ09 ä\"<>`{}|\\^[]"), max_size=12),
    st.sampled_from(["", "/", "/v1", "/v1/", "/a/b"]),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(), max_size=2),
)
def test_the_address_is_the_one_that_httpx_would_ask_for(
    path: str, base_path: str, params: dict[str, Any]
) -> None:
    if "?" in path:  # there httpx drops the path's own query, where parameters are given
        params = {}
    base_url = "http://exchange.example" + base_path
    client = httpx.AsyncClient(base_url=base_url, transport=httpx.AsyncBaseTransport())
    prepared = PreparedRequests(base_url)
    try:
        url = client.build_request("POST", path, params=params or None).url
        wanted = url.raw_path if url.host == "exchange.example" else None
    except (httpx.InvalidURL, UnicodeError):
        wanted = None
    try:
        target = prepared.target(path, params)
    except ConnectError:
        target = None
    assert target == wanted
    if target is not None:
        assert all(33 <= each <= 126 for each in target)


@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    st.text(max_size=8),
    st.sampled_from(["POST", "PUT", "DELETE", "post", "A B", "", "X\r\n"]),
    st.binary(max_size=20),
)
def test_whatever_is_written_is_one_request_to_a_server(
    headers: dict[str, str], path: str, method: str, body: bytes
) -> None:
    try:
        raw = written(method, path, headers=headers, content=body)
    except ConnectError:
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(raw)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    got = b""
    while isinstance(event := server.next_event(), h11.Data):
        got += event.data
    assert (got, type(event), server.trailing_data[0]) == (body, h11.EndOfMessage, b"")
    for name, value in headers.items():
        assert (name.lower().encode(), value.encode()) in request.headers


SECRET = f"{7:04}secret"


@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"X-Key": f"{SECRET}\r\nInjected: yes"}},
        {"headers": {"X-Key": f"{SECRET}\n"}},
        {"headers": {"X-Key": f"{SECRET}\0"}},
        {"headers": {"X-Key": f"{SECRET}\x7f"}},
        {"headers": {"X-Key": f" {SECRET}"}},
        {"headers": {"X-Key": f"{SECRET} "}},
        {"headers": {"X-Key": f"{SECRET}ä"}},
        {"headers": {"X Key": SECRET}},
        {"headers": {"X-Key:": SECRET}},
        {"headers": {"": SECRET}},
        {"headers": {"X-Key\n": SECRET}},
        {"headers": {"Content-Length": SECRET}},
        {"headers": {"transfer-encoding": SECRET}},
        {"base_headers": {"X-Key": f"{SECRET}\n{SECRET}"}},
        {"path": f"/{SECRET}\r\n"},
        {"path": f"/{SECRET}\0"},
        {"path": f"https://exchange.example/{SECRET}"},
        {"method": f"POST {SECRET}"},
        {"method": "CONNECT"},
        {"method": ""},
        {"base": f"ftp://exchange.example/{SECRET}"},
        {"base": f"/{SECRET}"},
        {"base": f"https://exchange.example:{SECRET}/"},
        {"base": f"https://me:{SECRET}@exchange.example/"},
    ],
)
def test_what_is_no_http_is_not_written_and_in_no_message(how: dict[str, Any]) -> None:
    with pytest.raises(NotSent, match="nothing was sent") as caught:
        written(**how)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_body_that_json_cannot_hold_is_an_error_of_the_caller() -> None:
    for document in (float("nan"), object(), {1j: 1}):
        with pytest.raises((TypeError, ValueError)):
            encoded_body(None, document)
