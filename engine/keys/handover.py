"""Hand what a person typed in another process over to the engine, sealed: only the engine's running
process opens it.

The key pair lives as long as the engine runs and is stored nowhere.
"""

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from engine.domain.errors import InvalidValue


class Handover:
    """The engine's end: the only holder of the private key."""

    def __init__(self) -> None:
        self._key = PrivateKey.generate()

    @property
    def public(self) -> bytes:
        """Return the public key, for ``seal``."""
        return bytes(self._key.public_key)

    def open(self, sealed: bytes) -> bytes:
        """Return what was sealed for this run; raises InvalidValue for anything else."""
        try:
            return bytes(SealedBox(self._key).decrypt(sealed))
        except (CryptoError, ValueError, TypeError):
            raise InvalidValue("sealed", "something sealed for this run of the engine") from None


def seal(public: bytes, text: bytes) -> bytes:
    """Seal a text for the engine whose public key this is."""
    return bytes(SealedBox(PublicKey(public)).encrypt(text))
