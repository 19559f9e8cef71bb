"""The origin of a request: the client's address, whether it is on this machine, and the site of a
form. Pure.

A forwarded address is believed only from a trusted proxy. The header is read from the right: each
hop vouches for the one before it, and the first hop that is no trusted proxy is the client. Anybody
may have written what is further left.
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
    """Return the client's address, IPv4 inside IPv6 as IPv4: a socket of both families has that
    form for every IPv4 client.

    ``forwarded_for``: every value of X-Forwarded-For in order of arrival. Where a hop is no
    address, the last trusted proxy before it is returned instead of a guess.
    """
    peer = read_address(socket_peer)
    if peer is None:
        return socket_peer
    if not _is_in(peer, trusted):
        return str(peer)
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
    """Return whether somebody on this machine asks directly: loopback peer and Host, no proxy.

    The check of Host stops DNS rebinding: a foreign page whose name points at 127.0.0.1 still sends
    its own name.
    """
    peer = read_address(socket_peer)
    if peer is None or not peer.is_loopback or any(name in _FORWARDING for name, _ in headers):
        return False
    hosts = [value for name, value in headers if name == "host"]
    return len(hosts) == 1 and _is_loopback_host(hosts[0])


def is_from_here(fetch_site: str | None, origin: str | None, host: str, *, https: bool) -> bool:
    """Return whether a form comes from a page of this site.

    Sec-Fetch-Site decides where the browser sends it, else an equal Origin, scheme and port
    included: a site on ``https`` accepts nothing from its own name on plain http, where anybody in
    between may write the page.
    """
    if fetch_site is not None:
        return fetch_site == "same-origin"
    own = {f"https://{host}"} if https else {f"https://{host}", f"http://{host}"}
    return origin in own


def read_address(text: str) -> Address | None:
    """Return the address in a text with or without brackets and port, None where there is none.

    IPv4 inside IPv6 is returned as IPv4.
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
