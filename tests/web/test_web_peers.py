"""Who is asking: proxies are believed only when configured, from the right; loopback means a
request from this machine.
"""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.peers import client_address, is_from_here, is_local, read_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),  # a stranger may write anything
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        (
            "10.0.0.1",
            ["1.1.1.1, 203.0.113.9"],
            "203.0.113.9",
        ),  # what stands left of the first stranger is hearsay
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.9, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("fd00::1", ["[2001:db8::5]:443"], "2001:db8::5"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:52.89.214.238", [], "52.89.214.238"),
        ("::ffff:52.89.214.238", ["203.0.113.9"], "52.89.214.238"),
        ("2001:db8::5", [], "2001:db8::5"),
        ("", ["203.0.113.9"], ""),
    ],
)
def test_the_forwarded_address_is_read_from_the_right_through_trusted_proxies(
    peer: str, forwarded: list[str], expected: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == expected


@given(st.lists(st.text(max_size=30), max_size=5))
def test_without_trusted_proxies_no_header_changes_the_peer(forwarded: list[str]) -> None:
    assert client_address("203.0.113.1", forwarded, ()) == "203.0.113.1"


@given(st.lists(st.text(max_size=30), max_size=5))
def test_whatever_a_proxy_forwards_an_address_comes_out(forwarded: list[str]) -> None:
    ip_address(client_address("10.0.0.1", forwarded, PROXIES))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:8000",
        "LOCALHOST:1",
    ],
)
def test_a_loopback_peer_with_a_loopback_host_is_local(host: str) -> None:
    assert is_local("127.0.0.1", [("host", host)])
    assert is_local("::1", [("host", host)])


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("192.0.2.1", [("host", "localhost")]),
        ("127.0.0.1", [("host", "evil.example")]),
        ("127.0.0.1", [("host", "localhost.evil.example:8000")]),
        ("127.0.0.1", [("host", "127.0.0.1.evil.example")]),
        ("127.0.0.1", [("host", "localhost:")]),
        ("127.0.0.1", [("host", "")]),
        ("127.0.0.1", []),
        ("127.0.0.1", [("host", "localhost"), ("host", "localhost")]),
        ("127.0.0.1", [("host", "localhost"), ("x-forwarded-for", "127.0.0.1")]),
        ("127.0.0.1", [("host", "localhost"), ("forwarded", "for=127.0.0.1")]),
        ("127.0.0.1", [("host", "localhost"), ("x-real-ip", "127.0.0.1")]),
        ("", [("host", "localhost")]),
    ],
)
def test_everybody_else_is_not_local(peer: str, headers: list[tuple[str, str]]) -> None:
    assert not is_local(peer, headers)


@given(st.text(max_size=60))
def test_reading_an_address_never_raises(text: str) -> None:
    read_address(text)


@pytest.mark.parametrize(
    ("fetch_site", "origin", "https", "expected"),
    [
        (
            "same-origin",
            "https://elsewhere.example",
            True,
            True,
        ),  # the browser's own word, which no page can set
        ("same-site", "https://a.example", True, False),
        ("cross-site", "https://a.example", True, False),
        ("none", None, True, False),
        (None, "https://a.example", True, True),
        (None, "http://a.example", True, False),  # whoever sits between wrote that page
        (None, "http://a.example", False, True),
        (None, "https://a.example", False, True),  # TLS by a proxy that nobody told us of
        (None, "https://a.example:444", True, False),
        (None, "https://a.example@elsewhere.example", True, False),
        (None, "x://a.example", False, False),
        (None, "//a.example", False, False),
        (None, "null", False, False),
        (None, "http://[", False, False),  # once answered with 503
        (None, "http://a]b", False, False),
        (None, "", False, False),
        (None, None, False, False),
    ],
)
def test_a_form_is_taken_only_from_a_page_of_ours(
    fetch_site: str | None, origin: str | None, https: bool, expected: bool
) -> None:
    assert is_from_here(fetch_site, origin, "a.example", https=https) is expected
