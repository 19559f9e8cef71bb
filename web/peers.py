"""Who is asking: the address behind a request, whether somebody on this very machine asks, and from
which site a form comes. Pure.

A forwarded address is believed only from a configured proxy, walking from the right: each hop
vouches for the one before it, and the first hop that is not a trusted proxy is the answer. What
stands further left, anybody may have written.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from web.settings import Network

Address = IPv4Address | IPv6Address
_FORWARDING = frozenset(
    {
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "via",
        "cf-connecting-ip",
    }
)
_HOPS_MAX = 32


def client_address(
    socket_peer: str, forwarded_for: Sequence[str], trusted: Sequence[Network]
) -> str:
    """Return the client's address. ``forwarded_for`` holds every X-Forwarded-For header value, in
    order of arrival.

    A hop that is no address ends the walk: the last proxy that could be trusted is returned instead
    of a guess.
    """
    peer = read_address(socket_peer)
    if peer is None or not _is_in(peer, trusted):
        return socket_peer
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    for hop in reversed(hops[-_HOPS_MAX:]):
        address = read_address(hop)
        if address is None:
            break
        peer = address
        if not _is_in(peer, trusted):
            break
    return str(peer)


def is_local(socket_peer: str, headers: Sequence[tuple[str, str]]) -> bool:
    """Tell whether a person on this machine asks directly: loopback peer, no proxy in between, and
    a loopback Host.

    The Host check stops DNS rebinding: a foreign page whose name was pointed at 127.0.0.1 still
    sends its own name.
    """
    peer = read_address(socket_peer)
    if peer is None or not peer.is_loopback or any(name in _FORWARDING for name, _ in headers):
        return False
    hosts = [value for name, value in headers if name == "host"]
    return len(hosts) == 1 and _is_loopback_host(hosts[0])


def is_from_here(fetch_site: str | None, origin: str | None, host: str, *, https: bool) -> bool:
    """Tell whether a form comes from a page of ours: by Sec-Fetch-Site where the browser sends it,
    else by an equal Origin.

    Compared as text, scheme and port included: a place on ``https`` takes nothing from its own name
    on plain http, where anybody between may write the page.
    """
    if fetch_site is not None:
        return fetch_site == "same-origin"
    own = {f"https://{host}"} if https else {f"https://{host}", f"http://{host}"}
    return origin in own


def read_address(text: str) -> Address | None:
    """Read an address, with or without brackets and port; IPv4 inside IPv6 reads as IPv4. None
    where it is none.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _is_loopback_host(host: str) -> bool:
    name, _, port = host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", "")
    if port and not port.isascii():
        return False
    if name.lower() == "localhost":
        return True
    if name.startswith("[") != name.endswith("]"):
        return False
    address = read_address(name)
    return address is not None and address.is_loopback
