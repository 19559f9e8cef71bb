"""Read a certificate as those who connect see it: in a TLS handshake with itself, in memory."""

import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: an expired certificate is to be read, not refused."""
_TURNS_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says of itself, and whether it is for the host that was asked for."""

    begins: datetime
    ends: datetime
    names: tuple[str, ...]
    is_for_host: bool


def read_certificate(file: Path, key: Path | None, host: str) -> Certificate:
    """Read a certificate with its key; an empty host is any host. Raises OSError (an SSLError is
    one) if the two cannot be served.
    """
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(file, key, password=lambda: "")  # else it asks at the terminal
    seen = _shake(served, _trusting(file), None)
    is_for_host = True
    if host:
        asking = _trusting(file)
        asking.check_hostname = True
        try:
            _shake(served, asking, host)
        except ssl.SSLCertVerificationError:
            is_for_host = False
    return Certificate(
        _time(seen["notBefore"]),
        _time(seen["notAfter"]),
        tuple(name for _, name in seen.get("subjectAltName", ())),
        is_for_host,
    )


def _trusting(file: Path) -> ssl.SSLContext:
    """Trust the certificate itself, at any time."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname = False
    trust.load_verify_locations(file)
    trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    return trust


def _shake(served: ssl.SSLContext, asking: ssl.SSLContext, host: str | None) -> dict[str, Any]:
    """Return the certificate that a client is shown; raises SSLError if it refuses it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = served.wrap_bio(to_server, to_client, server_side=True)
    client = asking.wrap_bio(to_client, to_server, server_hostname=host)
    for _ in range(_TURNS_MAX):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            with suppress(ssl.SSLWantReadError):
                server.do_handshake()
        else:
            return client.getpeercert() or {}
    raise ssl.SSLError("the handshake does not end")


def _time(told: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(told), UTC)
