"""Encrypt a file to a public key, so that whoever has the file but not the private key has nothing.

Theory. A random stream key is sealed to the public key (libsodium's sealed box). The content follows
as one authenticated stream (secretstream, XChaCha20-Poly1305) in chunks of 1 MiB, and the last chunk
says that it is the last: a cut, reordered, longer or changed file does not open. Memory is one
chunk, whatever the file's size. The stream proves that the file is whole, not who wrote it: anybody
who knows the public key can write one.
"""

import base64
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from nacl import bindings
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from engine.domain.errors import InvalidValue, RexAlgoError
from engine.ports.secret import Secret

MAGIC: Final = b"RexAlgo encrypted 1\n"
CHUNK_BYTES: Final = 2**20
_PRIVATE: Final = "rexalgo-private:"
_KEY_FILE_BYTES_MAX: Final = 4096
_TAIL_BYTES: Final = bindings.crypto_secretstream_xchacha20poly1305_ABYTES
_STREAM_KEY_BYTES: Final = bindings.crypto_secretstream_xchacha20poly1305_KEYBYTES
_SEALED_KEY_BYTES: Final = _STREAM_KEY_BYTES + bindings.crypto_box_SEALBYTES
_HEADER_BYTES: Final = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_FINAL: Final = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL
_MESSAGE: Final = bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE


class NotDecrypted(RexAlgoError):
    """Raised when an encrypted file does not open: nothing of it may be used."""


def new_key_pair() -> tuple[str, str]:
    """Create a key pair: the private key as the text of its file, and the public key in base64."""
    private = PrivateKey.generate()
    return (
        f"{_PRIVATE}{base64.b64encode(bytes(private)).decode()}\n",
        base64.b64encode(bytes(private.public_key)).decode(),
    )


def read_private_key(file: Path) -> Secret:
    """Read the file of a private key. Raises InvalidValue, which never shows its content."""
    expected = "the file of a private key that rexalgo key backup wrote"
    try:
        with file.open("rb") as opened:
            content = opened.read(_KEY_FILE_BYTES_MAX)
    except OSError as error:
        raise InvalidValue(str(file), expected, error.strerror) from None
    try:
        text = content.decode("ascii").strip()
        key = base64.b64decode(text.removeprefix(_PRIVATE), validate=True)
    except ValueError:
        raise InvalidValue(str(file), expected, "another form") from None
    if not text.startswith(_PRIVATE) or len(key) != PrivateKey.SIZE:
        raise InvalidValue(str(file), expected, "another form")
    return Secret(text.removeprefix(_PRIVATE))


def is_encrypted(file: Path) -> bool:
    """Return whether a file says of itself that ``encrypt_file`` wrote it. Raises OSError."""
    with file.open("rb") as opened:
        return opened.read(len(MAGIC)) == MAGIC


def encrypt_file(source: Path, target: Path, public_key: str) -> None:
    """Encrypt ``source`` into the existing, empty file ``target``, then open ``target`` again and
    compare.

    Raises InvalidValue for a public key that encrypts nothing, NotDecrypted if what was written
    does not open, OSError.
    """
    stream_key = secrets.token_bytes(_STREAM_KEY_BYTES)
    try:
        sealed = SealedBox(PublicKey(base64.b64decode(public_key, validate=True))).encrypt(
            stream_key
        )
    except (ValueError, TypeError, CryptoError):
        raise InvalidValue(
            "backup.public_key", "the public key that rexalgo key backup printed", "another form"
        ) from None
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    header = bindings.crypto_secretstream_xchacha20poly1305_init_push(state, stream_key)
    written = hashlib.sha256()
    with source.open("rb") as plain, target.open("wb") as out:
        out.write(MAGIC + sealed + header)
        for chunk, is_last in _chunks(plain, CHUNK_BYTES):
            written.update(chunk)
            out.write(
                bindings.crypto_secretstream_xchacha20poly1305_push(
                    state, chunk, MAGIC, _FINAL if is_last else _MESSAGE
                )
            )
        out.flush()
        os.fsync(out.fileno())
    read = hashlib.sha256()
    with target.open("rb") as encrypted:
        encrypted.seek(len(MAGIC) + _SEALED_KEY_BYTES)
        for chunk in _opened(encrypted, stream_key):
            read.update(chunk)
    if read.digest() != written.digest():
        raise NotDecrypted(f"{target} does not hold what was encrypted: the disk may be failing")


def decrypt_file(source: Path, target: Path, private_key: Secret) -> None:
    """Decrypt ``source`` into the existing, empty file ``target``. Raises NotDecrypted, and then
    ``target`` holds nothing; OSError.
    """
    try:
        with source.open("rb") as encrypted, target.open("wb") as out:
            head = encrypted.read(len(MAGIC) + _SEALED_KEY_BYTES)
            if not head.startswith(MAGIC):
                raise NotDecrypted("expected an encrypted backup, found another file")
            try:
                key = PrivateKey(base64.b64decode(private_key.reveal()))
                stream_key = SealedBox(key).decrypt(head[len(MAGIC) :])
            except (CryptoError, ValueError, TypeError):
                raise NotDecrypted(
                    "it was encrypted to another public key, or its beginning is damaged: give the "
                    "private key whose public key was backup.public_key when it was made"
                ) from None
            for chunk in _opened(encrypted, stream_key):
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
    except BaseException:
        os.truncate(target, 0)
        raise


def _opened(encrypted: BinaryIO, stream_key: bytes) -> Iterator[bytes]:
    """Yield the chunks of a stream, starting at its header."""
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    header = encrypted.read(_HEADER_BYTES)
    if len(header) != _HEADER_BYTES or len(stream_key) != _STREAM_KEY_BYTES:
        raise NotDecrypted("it is cut: its header is missing")
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, header, stream_key)
    for sealed, is_last in _chunks(encrypted, CHUNK_BYTES + _TAIL_BYTES):
        try:
            chunk, tag = bindings.crypto_secretstream_xchacha20poly1305_pull(state, sealed, MAGIC)
        except (CryptoError, ValueError, TypeError):
            raise NotDecrypted("it is damaged: a part of it was cut or changed") from None
        if (tag == _FINAL) != is_last:
            raise NotDecrypted("it is damaged: it ends too early or too late")
        yield chunk


def _chunks(file: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """Yield a file in chunks, and with each whether it is the last; an empty file is one chunk."""
    chunk = file.read(size)
    while True:
        following = file.read(size)
        yield chunk, not following
        if not following:
            return
        chunk = following
