"""The rules of single settings: each takes the raw TOML value and the folder of rexalgo.toml and
returns the typed value.

Each raises InvalidValue whose ``field`` is only the part below the key ("" or "[2]"); the caller
puts file and key before it.
"""

import re
from base64 import b64decode
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from engine.domain.errors import InvalidValue
from engine.domain.network import what_internal
from engine.ports.secret import read_secret_file

TOKEN_CHARACTERS_MIN: Final = 16
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_HOST: Final = re.compile(r"[0-9A-Za-z._:-]{1,253}")


def whole(low: int, high: int) -> Callable[[object, Path], int]:
    """Return a rule for a whole number from ``low`` to ``high``."""

    def rule(value: object, folder: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidValue("", f"a whole number from {low} to {high}", value)
        return value

    return rule


def line(longest: int) -> Callable[[object, Path], str]:
    """Return a rule for one line of printable text of at most ``longest`` characters; it may be
    empty.
    """

    def rule(value: object, folder: Path) -> str:
        if not isinstance(value, str) or len(value) > longest or not value.isprintable():
            raise InvalidValue("", f"one line of text, at most {longest} characters", value)
        return value

    return rule


def switch(value: object, folder: Path) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise InvalidValue("", "true or false", value)
    return value


def one_of(*words: str) -> Callable[[object, Path], str]:
    """Return a rule for one of a few words."""

    def rule(value: object, folder: Path) -> str:
        if not isinstance(value, str) or value not in words:
            raise InvalidValue("", "one of " + ", ".join(words), value)
        return value

    return rule


def name(value: object, folder: Path) -> str:
    """Read the short name of a plugin or of something it registers."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise InvalidValue("", "a short name of a-z, 0-9 and _", value)
    return value


def names(value: object, folder: Path) -> tuple[str, ...]:
    """Read a list of short names without duplicates."""
    if not isinstance(value, list):
        raise InvalidValue("", "a list of names, each in quotes", value)
    for index, each in enumerate(value):
        if not isinstance(each, str) or not NAME.fullmatch(each):
            raise InvalidValue(f"[{index}]", "a short name of a-z, 0-9 and _", each)
        if each in value[:index]:
            raise InvalidValue(f"[{index}]", "each name once", each)
    return tuple(value)


def name_or_names(value: object, folder: Path) -> tuple[str, ...]:
    """Read one short name, or a list of them; an empty text means none."""
    if isinstance(value, list):
        return names(value, folder)
    return (name(value, folder),) if value else ()


def host(value: object, folder: Path) -> str:
    """Read an address or host name to listen on."""
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise InvalidValue("", 'an address or host name such as "127.0.0.1"', value)
    return value


def heartbeat_url(value: object, folder: Path) -> str:
    """Read "" or an https address, http only on this machine; the address is the service's own
    secret and may have a query.
    """
    expected = 'an https address such as "https://beats.example.org/my-place", or ""'
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise InvalidValue("", expected, "another form")
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        usable = bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and is_local)
        )
    except ValueError:
        usable = False
    if not usable or parts.fragment or parts.username is not None:
        raise InvalidValue("", expected, "another form")
    return value


def public_url(value: object, folder: Path) -> str:
    """Read "" or an http(s) address without query; a trailing slash is dropped."""
    expected = 'an address such as "https://copy.example.org", or ""'
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise InvalidValue("", expected, value)
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        usable = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise InvalidValue("", expected, value)
    return value.rstrip("/")


def path(value: object, folder: Path) -> Path:
    """Read a path; a relative one starts at ``folder``."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise InvalidValue("", "a path", value)
    return folder / Path(value).expanduser()


def optional_path(value: object, folder: Path) -> Path | None:
    """Read the path of a file that exists; "" means none."""
    if value == "":
        return None
    file = path(value, folder)
    if not file.is_file():
        raise InvalidValue("", 'an existing file, or ""', value)
    return file


def public_key(value: object, folder: Path) -> str:
    """Read "" or a public key of 32 bytes in base64."""
    expected = 'a public key that rexalgo key backup printed, or ""'
    if value == "":
        return ""
    try:
        if not isinstance(value, str) or len(set(b64decode(value, validate=True))) < 2:
            raise TypeError
        is_key = len(b64decode(value, validate=True)) == 32
    except (TypeError, ValueError):
        is_key = False
    if not is_key:
        raise InvalidValue("", expected, "another form")  # it may be the private one
    return str(value)


def new_file(value: object, folder: Path) -> Path | None:
    """Read the path of a file that may not exist yet, in a folder that does; "" means none."""
    if value == "":
        return None
    file = path(value, folder)
    if not file.parent.is_dir() or file.is_dir():
        raise InvalidValue("", 'a file in an existing folder, or ""', value)
    return file


def token_file(value: object, folder: Path) -> Path | None:
    """Read the path of a file that holds a token and that only its owner may read; "" means none."""
    if value == "":
        return None
    file = path(value, folder).absolute()
    token = read_secret_file(str(file), "").reveal()
    if len(token) < TOKEN_CHARACTERS_MIN or not token.isascii() or not token.isprintable():
        raise InvalidValue(
            "",
            f"a file with one line of at least {TOKEN_CHARACTERS_MIN} characters (openssl rand -hex 32)",
            f"another content of {file}",
        )
    return file


def networks(value: object, folder: Path) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read a list of addresses and networks."""
    if not isinstance(value, list):
        raise InvalidValue("", 'a list such as ["10.0.0.5", "172.16.0.0/12"]', value)
    read = []
    for index, each in enumerate(value):
        try:
            if not isinstance(each, str):
                raise TypeError
            network = ip_network(each)
        except (TypeError, ValueError):
            raise InvalidValue(
                f"[{index}]", 'an address or network such as "10.0.0.5" or "172.16.0.0/12"', each
            ) from None
        if network.prefixlen == 0:
            raise InvalidValue(
                f"[{index}]", "the proxy's own address: the whole internet is not a proxy", each
            )
        read.append(network)
    return tuple(read)


def internal_networks(value: object, folder: Path) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read a list of addresses and networks that are not public."""
    if not isinstance(value, list):
        raise InvalidValue("", 'a list such as ["127.0.0.1", "10.0.0.0/24"]', value)
    expected = 'an address or network that is not public, such as "127.0.0.1" or "10.0.0.0/24"'
    read = []
    for index, each in enumerate(value):
        try:
            network = ip_network(each if isinstance(each, str) else "")
        except ValueError:
            raise InvalidValue(f"[{index}]", expected, each) from None
        is_whole = network.prefixlen < 7  # no internal network is wider than fc00::/7
        if is_whole or not what_internal(network[0]) or not what_internal(network[-1]):
            raise InvalidValue(f"[{index}]", expected, each)
        read.append(network)
    return tuple(read)


def zone(value: object, folder: Path) -> str:
    """Read the name of a time zone; UTC works even if the system has no zone database."""
    if value == "UTC":
        return "UTC"
    try:
        if not isinstance(value, str):
            raise TypeError
        ZoneInfo(value)
    except (TypeError, ValueError, OSError, LookupError):
        raise InvalidValue(
            "", 'a time zone such as "Europe/Berlin" (Debian: apt install tzdata)', value
        ) from None
    return value
