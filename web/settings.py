"""What the web may be told: one frozen value, made by the command line from the configuration."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Hold the choices of the operator.

    ``trusts_here``: somebody who asks from this machine may see what needs no signing in; never
    where a proxy may stand on it and bring strangers, for one that adds no header cannot be told
    from a person. ``https``: people reach this place over TLS (own certificate or proxy), so HSTS
    may be promised. ``live_page``: serve the live page to people on this machine. ``demo_people``:
    (name, title) of whom a user on this machine may be; the demo's alone. ``trusted_proxies``:
    whose X-Forwarded-For is believed; empty means nobody's.
    """

    https: bool = False
    trusts_here: bool = True
    live_page: bool = True
    trusted_proxies: tuple[Network, ...] = ()
    body_bytes_max: int = 16 * 1024
    body_timeout_s: float = 2.0
    streams_max: int = 50
    heartbeat_s: float = 15.0
    rows_max: int = 200
    demo_people: tuple[tuple[str, str], ...] = ()
