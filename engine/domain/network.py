"""The network that an address belongs to. A limit per address covers every address that one line
can use.
"""

from ipaddress import IPv4Address, IPv6Network, ip_address


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
