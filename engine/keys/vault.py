"""Encrypt what is secret at rest: root keys wrap one data key per person, data keys seal single
fields of single rows.

What must always hold: a sealed field opens only in the table, column, row, owner and row version it
was sealed for, so that a ciphertext that was moved or rolled back is refused; a text's length shows
only in steps of 64 bytes; deleting a person's data key shreds all of that person's secrets; no key
and no secret ever appears in a message or a repr.

What it does not do: store anything. The caller keeps wrapped keys, canaries and sealed fields. To
rotate a root key: put the new one first, ``rewrap`` every data key, check that none is left under
the old ``kid``, remove the old one. An audit key that was derived from the old one is kept, sealed
under the new one, because its rows cannot be sealed again.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nacl.bindings import sodium_pad, sodium_unpad
from nacl.exceptions import CryptoError
from nacl.secret import Aead

from engine.decisions.secret_strength import why_made_by_hand
from engine.domain.errors import OwnFault
from engine.ports.secret import Secret

_KEY_BYTES: Final = 32
_ID_BYTES: Final = 16
_PAD_BYTES: Final = 64
_FIELD_V1: Final = b"\x01"
_HEADER_BYTES: Final = 1 + _ID_BYTES
_SEALED_BYTES_MIN: Final = _HEADER_BYTES + Aead.NONCE_SIZE + _PAD_BYTES + Aead.MACBYTES
_KID: Final = re.compile(r"[0-9a-f]{8}")
_CANARY: Final = b"rexalgo canary"
_ADVICE: Final = (
    "where a ledger is, put back the copy of .env that you keep elsewhere, because no other key "
    "opens it; `rexalgo init` makes a good one for a new installation"
)

PURPOSES: Final = frozenset({"field", "session", "csrf", "audit", "fingerprint"})


class VaultError(OwnFault):
    """Raised when a key is unfit or missing, or something sealed does not open. Never says what the
    secret was.
    """


@dataclass(frozen=True, slots=True, repr=False)
class RootKeys:
    """The root keys by ``kid``; the active one wraps new data, the others only open old data."""

    active: str
    by_kid: Mapping[str, bytes]

    def key(self, kid: str) -> bytes:
        """Return the key of ``kid``; raises VaultError naming the kid if it is missing."""
        try:
            return self.by_kid[kid]
        except KeyError:
            raise VaultError(
                f"ENCRYPTION_KEY has no key {kid!r}, which data was encrypted with: add it again; "
                f"{_ADVICE}"
            ) from None


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """One person's data key as it is stored: sealed under the root key ``kid``; ``id`` (16 bytes)
    marks its fields.
    """

    id: bytes
    person: str
    kid: str
    blob: bytes


@dataclass(frozen=True, slots=True, repr=False)
class DataKey:
    """One person's data key in the clear, for the moment of use."""

    id: bytes
    person: str
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPlace:
    """Exactly where a sealed field is stored; ``owner`` is the person whose data key seals it."""

    table: str
    column: str
    primary_key: str
    owner: str
    row_version: int

    def _binding(self) -> bytes:
        parts = (self.table, self.column, self.primary_key, self.owner, str(self.row_version))
        return _length_prefixed("rexalgo/field/v1", *parts)


def new_root_key() -> str:
    """Create a random root key in the form ``kid:base64``."""
    return f"{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()}"


def parse_root_keys(text: Secret) -> RootKeys:
    """Read ``kid:base64[,kid:base64...]``, the first being active; raises VaultError for an unfit
    key.

    Refused are another form, a key that is not 32 bytes long, a kid or key given twice, and
    well-known keys.
    """
    by_kid: dict[str, bytes] = {}
    for number, item in enumerate(text.reveal().strip().split(","), start=1):
        kid, key = _parse_root_key(item.strip(), f"key {number} of ENCRYPTION_KEY")
        if kid in by_kid or key in by_kid.values():
            raise VaultError(
                f"key {number} of ENCRYPTION_KEY is given twice: keep one of the two; {_ADVICE}"
            )
        by_kid[kid] = key
    return RootKeys(next(iter(by_kid)), by_kid)


def with_root_key_first(text: Secret, key: str) -> Secret:
    """Return the text of root keys with another one in front, which becomes the active one."""
    return Secret(f"{key},{text.reveal().strip()}")


def without_root_key(text: Secret, kid: str) -> Secret:
    """Return the text of root keys without the key ``kid``."""
    items = [item.strip() for item in text.reveal().split(",")]
    return Secret(",".join(item for item in items if item.partition(":")[0] != kid))


def _parse_root_key(item: str, which: str) -> tuple[str, bytes]:
    kid, _, encoded = item.partition(":")
    if not _KID.fullmatch(kid):
        raise VaultError(
            f"{which} must be 8 hex digits, ':' and base64, and begins otherwise; {_ADVICE}"
        )
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:  # binascii.Error is one, and text that is not ASCII is another
        raise VaultError(f"{which} ({kid}) is not base64; {_ADVICE}") from None
    if len(key) != _KEY_BYTES:
        raise VaultError(f"{which} ({kid}) must be {_KEY_BYTES} bytes, was {len(key)}; {_ADVICE}")
    if why_made_by_hand(key):
        raise VaultError(
            f"{which} ({kid}) is a well-known or hand-made value, not random; {_ADVICE}"
        )
    return kid, key


class Vault:
    """The sealer and opener of all secrets, with one set of root keys. Holds no data key and no
    plaintext between calls.
    """

    def __init__(self, keys: RootKeys) -> None:
        self._keys = keys

    @property
    def active_kid(self) -> str:
        """Return the kid that new data keys are wrapped with."""
        return self._keys.active

    @property
    def kids(self) -> frozenset[str]:
        """Return every kid that can be opened."""
        return frozenset(self._keys.by_kid)

    def seal_canary(self, kid: str) -> bytes:
        """Seal a known text under ``kid``, to be stored once per kid and checked at every start."""
        return _encrypt(self._keys.key(kid), _CANARY, _length_prefixed("rexalgo/canary/v1", kid))

    def check_canary(self, kid: str, blob: bytes) -> None:
        """Raise VaultError unless the key ``kid`` is present and is the one that sealed ``blob``."""
        try:
            _decrypt(self._keys.key(kid), blob, _length_prefixed("rexalgo/canary/v1", kid))
        except CryptoError:
            raise VaultError(
                f"key {kid} of ENCRYPTION_KEY is not the key that this database was encrypted "
                f"with; {_ADVICE}"
            ) from None

    def new_data_key(self, person: str) -> WrappedKey:
        """Create a data key for one person, wrapped under the active root key."""
        return self._wrap(
            DataKey(secrets.token_bytes(_ID_BYTES), person, secrets.token_bytes(_KEY_BYTES))
        )

    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        """Open a data key; raises VaultError if its root key is missing, or if it is another
        person's or was changed.
        """
        try:
            key = _decrypt(
                self._keys.key(wrapped.kid),
                wrapped.blob,
                _data_key_binding(wrapped.person, wrapped.kid),
            )
        except CryptoError:
            raise VaultError(
                f"the data key of person {wrapped.person} does not open with root key {wrapped.kid}"
            ) from None
        return DataKey(wrapped.id, wrapped.person, key)

    def rewrap(self, wrapped: WrappedKey) -> WrappedKey:
        """Return the same data key wrapped under the active root key; its fields stay as they are."""
        return self._wrap(self.unwrap(wrapped))

    def _wrap(self, data_key: DataKey) -> WrappedKey:
        kid = self._keys.active
        blob = _encrypt(self._keys.key(kid), data_key.key, _data_key_binding(data_key.person, kid))
        return WrappedKey(data_key.id, data_key.person, kid, blob)

    def seal(self, data_key: DataKey, plaintext: Secret, where: FieldPlace) -> bytes:
        """Seal one field: ``0x01 | data key id | nonce | ciphertext``. Raises VaultError unless the
        owner owns the key.
        """
        if data_key.person != where.owner:
            raise VaultError(
                f"{where.table}.{where.column} of {where.owner} must be sealed with that person's "
                "own data key"
            )
        try:
            text = plaintext.reveal().encode()
        except UnicodeEncodeError:  # its message would quote the text
            raise VaultError(
                f"{where.table}.{where.column}: the secret is not valid Unicode text"
            ) from None
        padded = sodium_pad(text, _PAD_BYTES)
        return _FIELD_V1 + data_key.id + _encrypt(_field_key(data_key), padded, where._binding())

    def open(self, data_key: DataKey, sealed: bytes, where: FieldPlace) -> Secret:
        """Open one field; raises VaultError if key, place, version or ciphertext is not exactly
        what was sealed.
        """
        fits = (
            len(sealed) >= _SEALED_BYTES_MIN and sealed[:_HEADER_BYTES] == _FIELD_V1 + data_key.id
        )
        try:
            if fits:
                padded = _decrypt(_field_key(data_key), sealed[_HEADER_BYTES:], where._binding())
                return Secret(sodium_unpad(padded, _PAD_BYTES).decode())
        except CryptoError:
            pass  # one answer below for everything that does not fit
        raise VaultError(
            f"{where.table}.{where.column} of row {where.primary_key} does not open: wrong key, "
            "or moved or changed data"
        )

    def derive(self, purpose: str, kid: str | None = None) -> bytes:
        """Derive the 32-byte key of one purpose from the root key ``kid`` (None: the active one);
        see PURPOSES.

        A derived key changes with its root key: what outlives a rotation stores the kid beside it.
        """
        if purpose not in PURPOSES:
            raise VaultError(
                f"a purpose must be one of {', '.join(sorted(PURPOSES))}, was {purpose!r}"
            )
        return _derived(self._keys.key(self._keys.active if kid is None else kid), purpose)

    def keep_audit_key(self, kid: str) -> bytes:
        """Seal the audit key of the root key ``kid`` under the active one, so that its rows can be
        verified once that key is gone.
        """
        return _encrypt(
            self._keys.key(self._keys.active),
            self.derive("audit", kid),
            _audit_key_binding(kid, self._keys.active),
        )

    def rekeep_audit_key(self, kid: str, under: str, blob: bytes) -> bytes:
        """Seal a kept audit key again under the active root key; raises VaultError if it does not
        open under ``under``.
        """
        key = self.open_audit_key(kid, under, blob)
        return _encrypt(
            self._keys.key(self._keys.active), key, _audit_key_binding(kid, self._keys.active)
        )

    def open_audit_key(self, kid: str, under: str, blob: bytes) -> bytes:
        """Open the kept audit key of a root key that is gone; raises VaultError."""
        try:
            return _decrypt(self._keys.key(under), blob, _audit_key_binding(kid, under))
        except CryptoError:
            raise VaultError(
                f"the kept audit key of root key {kid} does not open with root key {under}"
            ) from None

    def fingerprint(self, secret: Secret, kid: str | None = None) -> bytes:
        """Compute the keyed fingerprint that finds a secret's account again (32 bytes); meaningless
        without the key.
        """
        text = secret.reveal().encode(errors="surrogatepass")
        return hashlib.blake2b(text, key=self.derive("fingerprint", kid), digest_size=32).digest()


def _derived(key: bytes, purpose: str) -> bytes:
    return hashlib.blake2b(
        purpose.encode(), key=key, digest_size=_KEY_BYTES, person=b"rexalgo/keys/v1"
    ).digest()


def _field_key(data_key: DataKey) -> bytes:
    return _derived(data_key.key, "field")


def _data_key_binding(person: str, kid: str) -> bytes:
    return _length_prefixed("rexalgo/dek/v1", person, kid)


def _audit_key_binding(kid: str, under: str) -> bytes:
    return _length_prefixed("rexalgo/audit-key/v1", kid, under)


def _length_prefixed(*parts: str) -> bytes:
    """Join texts so that different lists never give the same bytes."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _encrypt(key: bytes, plaintext: bytes, binding: bytes) -> bytes:
    return bytes(Aead(key).encrypt(plaintext, binding))


def _decrypt(key: bytes, blob: bytes, binding: bytes) -> bytes:
    if len(blob) < Aead.NONCE_SIZE + Aead.MACBYTES:
        raise CryptoError("too short")
    return bytes(Aead(key).decrypt(blob, binding))
