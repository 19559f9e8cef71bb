"""Decode a content encoding within a bound: 1 MiB of gzip can stand for a gigabyte, and httpx would
unpack all of it at once.
"""

import zlib

_ENCODINGS = frozenset(("gzip", "x-gzip", "deflate"))
_GZIP_OR_ZLIB = 47  # window bits: the largest window, and the header says which of the two


class Undecodable(ValueError):
    """Raised when a body is not what its encoding promises, or exceeds the bound."""


def decoded(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """Return the plain body; raises Undecodable for an encoding other than gzip or deflate, a cut
    body, and one above ``bytes_max``.
    """
    name = encoding.strip().lower()
    if name in ("", "identity") or not body:
        return body
    if name not in _ENCODINGS:
        raise Undecodable("an encoding that was not asked for")
    decoder = zlib.decompressobj(
        _GZIP_OR_ZLIB if name != "deflate" or body[0] & 0x0F == 8 else -zlib.MAX_WBITS
    )  # some send it raw
    try:
        plain = decoder.decompress(body, bytes_max + 1)
    except zlib.error:
        raise Undecodable(f"what is not {name}") from None
    if len(plain) > bytes_max:
        raise Undecodable(f"an answer of more than {bytes_max} bytes")
    if not decoder.eof:
        raise Undecodable(f"{name} that is cut off")
    return plain
