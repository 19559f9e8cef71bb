"""Whether an address is on this machine: what answers there is a simulation, without real money."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Return whether an http address is on this machine; only there may an exchange adapter say
    SIMULATED.

    A name that only begins like one (``http://127.0.0.1.example.com``) is not, and https is not.
    """
    parts = urlsplit(url)
    try:
        return parts.scheme == "http" and (
            parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
        )
    except ValueError:
        return False
