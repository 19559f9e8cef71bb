"""The settings of the web: one frozen value, made by the command line from the configuration."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from engine.ports.secret import Secret

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """The operator's choices for the web.

    ``body_bytes_max``: what a program may send. ``form_bytes_max``: what a form may send; it is wider,
    so that a field that is far too long is refused beside it, with what was typed.
    ``https``: people reach this installation over TLS (own certificate or proxy), so HSTS is sent.
    ``trusts_here``: a person who asks from this machine may see what needs no signing in. Never set
    it where a proxy may run on this machine: one that adds no header looks like a person.
    ``live_page``: serve the live page to people on this machine. ``trusted_proxies``: the networks
    whose X-Forwarded-For is believed; empty means none. ``demo_people``: (name, title) of the
    people of a demo, as whom a person on this machine may sign in. ``metrics_token`` is what /metrics
    asks for; None: only this machine may ask.
    """

    https: bool = False
    trusts_here: bool = True
    live_page: bool = True
    trusted_proxies: tuple[Network, ...] = ()
    body_bytes_max: int = 16 * 1024
    form_bytes_max: int = 128 * 1024
    body_timeout_s: float = 2.0
    streams_max: int = 50
    streams_per_peer_max: int = 20
    heartbeat_s: float = 15.0
    rows_max: int = 200
    demo_people: tuple[tuple[str, str], ...] = ()
    metrics_token: Secret | None = None
