"""The headers of every answer, error answers and refusals of the server included."""

from collections.abc import Sequence
from typing import Final

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_DENIED_FEATURES: Final = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "microphone",
    "payment",
    "usb",
)

SECURITY_HEADERS: Final[tuple[tuple[str, str], ...]] = (
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", ", ".join(f"{feature}=()" for feature in _DENIED_FEATURES)),
)
NO_STORE: Final = ("cache-control", "no-store")
Pairs = tuple[tuple[bytes, bytes], ...]
_HSTS: Final = ("strict-transport-security", "max-age=31536000")


def security_headers(*, https: bool) -> tuple[tuple[str, str], ...]:
    """Return the headers of every answer; HSTS only over TLS, because it cannot be taken back."""
    return (*SECURITY_HEADERS, _HSTS) if https else SECURITY_HEADERS


def on_the_wire(headers: Sequence[tuple[str, str]]) -> Pairs:
    """Return headers as bytes."""
    return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in headers)
