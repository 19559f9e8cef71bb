"""Whose address it is, as far as an address can tell: what is counted against one address holds for
all that one line can take.
"""

from ipaddress import IPv4Address, IPv6Network, ip_address


def network_of(address: str) -> str:
    """Return what stands for one line: an IPv4 address itself, of IPv6 the first 64 bits, because
    every line has that many.

    IPv4 inside IPv6 reads as IPv4. A text that is no address stands for itself.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((int(found) >> 64 << 64, 64)))
