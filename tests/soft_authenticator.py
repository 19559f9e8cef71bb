"""An authenticator in software: makes a passkey and signs with it, as a browser would send it. A test
may lie about everything.
"""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, HAS_KEY = 1, 4, 64


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class SoftAuthenticator:
    """One passkey at one origin. ``flags`` and ``count`` are what it tells of itself."""

    origin: str = "https://copy.example.org"
    flags: int = PRESENT | VERIFIED
    count: int = 0
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    user: bytes = b""
    rp_id: str = ""
    is_framed: bool = False
    _key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: str, **changes: Any) -> str:
        """Make the passkey; returns what the browser sends."""
        asked = json.loads(options)
        self.user = decoded(asked["user"]["id"])
        self.rp_id = asked["rp"]["id"]
        point = self._key.public_key().public_numbers()
        cose = {
            1: 2,
            3: -7,
            -1: 1,
            -2: point.x.to_bytes(32, "big"),
            -3: point.y.to_bytes(32, "big"),
        }
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(cose)
        data = self._data(HAS_KEY) + attested
        made = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        told = self._told("webauthn.create", asked["challenge"])
        return self._answer({"clientDataJSON": told, "attestationObject": made}, changes)

    def sign(self, options: str, **changes: Any) -> str:
        """Sign a challenge, counting up; returns what the browser sends."""
        asked = json.loads(options)
        self.count += 1
        told, data = self._told("webauthn.get", asked["challenge"]), self._data(0)
        signed = self._key.sign(data + hashlib.sha256(told).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": told,
            "authenticatorData": data,
            "signature": signed,
            "userHandle": self.user,
        }
        return self._answer(response, changes)

    def _told(self, kind: str, challenge: str) -> bytes:
        told: dict[str, Any] = {"type": kind, "challenge": challenge, "origin": self.origin}
        told["crossOrigin"] = self.is_framed
        return json.dumps(told).encode()

    def _data(self, more: int) -> bytes:
        rp = hashlib.sha256(self.rp_id.encode()).digest()
        return rp + bytes([self.flags | more]) + self.count.to_bytes(4, "big")

    def _answer(self, response: dict[str, bytes], changes: dict[str, Any]) -> str:
        sent = {name: encoded(value) for name, value in response.items()}
        sent |= changes.pop("response", {})
        named = encoded(self.id)
        return json.dumps(
            {"id": named, "rawId": named, "type": "public-key", "response": sent, **changes}
        )
