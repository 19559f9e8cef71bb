"""Outbound HTTP on trio, where every account owns its connections and nothing is sent twice.

What must always hold: a request is written at most once; an error that means "nothing left" is a
ConnectError, ConnectTimeout or PoolTimeout, and those three mean nothing else; every call ends by
one total deadline; certificates are always verified. Not here: redirects, retries, proxies, cookies
of our own, HTTP/2. From outside in: ``client`` (what plugins get) and ``httpx_transport`` (the same
behind httpx), ``pool`` (three connections, one deadline), ``connection`` (one request, one answer),
``wire`` (bytes over TCP or TLS). Pure: ``request`` (bytes out), ``answer_parser`` and ``h11_reader``
(bytes in), ``decoding``. Beside them: ``permit`` (one claim, one order request), ``peer_clock`` (the
other side's clock), ``errors``.
"""

from engine.transport.answer import Answer
from engine.transport.client import HttpClientFactory
from engine.transport.httpx_transport import TrioTransport
from engine.transport.peer_clock import PeerClock
from engine.transport.permit import SendPermit, SendRefused, SendStopped, send_permit
from engine.transport.pool import Pool

__all__ = [
    "Answer",
    "HttpClientFactory",
    "PeerClock",
    "Pool",
    "SendPermit",
    "SendRefused",
    "SendStopped",
    "TrioTransport",
    "send_permit",
]
