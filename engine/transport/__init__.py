"""Outbound HTTP: an httpx transport on trio and h11, where every account owns its connections and
nothing is sent twice.

What must always hold: a request is written at most once; an error that means "nothing left" is a
ConnectError, ConnectTimeout or PoolTimeout, and those three mean nothing else; every call ends by
one total deadline; certificates are always verified. Not here: redirects, retries, proxies, cookies
of our own, HTTP/2. From outside in: ``client`` (pool, factory), ``connection`` (one request over
h11), ``wire`` (bytes over TCP or TLS), ``permit`` (one claim, one order request), ``peer_clock``
(the other side's clock).
"""

from engine.transport.client import HttpClientFactory, TrioTransport
from engine.transport.peer_clock import PeerClock
from engine.transport.permit import SendPermit, SendRefused, SendStopped, send_permit

__all__ = [
    "HttpClientFactory",
    "PeerClock",
    "SendPermit",
    "SendRefused",
    "SendStopped",
    "TrioTransport",
    "send_permit",
]
