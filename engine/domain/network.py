"""The network that an address belongs to, and which addresses this process may call. Pure.

A limit per address covers every address that one line can use.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_NAT64: Final = IPv6Network("64:ff9b::/96")
_METADATA: Final = frozenset(
    (ip_address("169.254.169.254"), ip_address("fd00:ec2::254"), ip_address("168.63.129.16"))
)
"""Where clouds tell a machine its secrets; the last one is a public address."""


def network_of(address: str) -> str:
    """Return the network of an address: an IPv4 address itself; of an IPv6 address the first 64
    bits, because every line has that many.

    IPv4 inside IPv6 is read as IPv4. A text that is no address is returned as it is.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(IPv6Network((int(ip) >> 64 << 64, 64)))


@dataclass(frozen=True, slots=True)
class Reach:
    """Which addresses this process may call: every public one, and the operator's ``internal``
    networks.

    Without this, whoever chooses an address or its DNS record could call what listens only for this
    machine and its network.
    """

    internal: tuple[Network, ...] = ()

    def why_not(self, text: str) -> str:
        """Return what an IP address is if it may not be called, empty if it may."""
        try:
            address = ip_address(text.partition("%")[0])
        except ValueError:
            return "no IP address"
        inner = _within(address)
        if any(each in network for each in {address, inner} for network in self.internal):
            return ""
        return what_internal(inner)


PUBLIC: Final = Reach()
LOOPBACK: Final = Reach((IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")))
"""This machine as well: for kits, whose simulators run here."""


def what_internal(address: Address) -> str:
    """Return what an address is if it is not a public one; empty for a public one."""
    if address in _METADATA:
        return "where a cloud tells this machine its secrets"
    if address.is_loopback:
        return "this machine itself"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        return "not the address of one machine"
    return "" if address.is_global else "an address of an internal network"


def _within(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
