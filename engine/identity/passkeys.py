"""Passkeys (WebAuthn, Level 3): what a browser is asked to sign, and what an authenticator signed.

Every passkey is discoverable and verifies its user (a PIN, a finger, a face), so that one alone
proves two factors. No attestation is asked for: which maker built an authenticator decides nothing
here. The signature is verified by ``webauthn``, which is imported when the first answer arrives: it
takes longer to import than a start may wait. Call ``read_registration`` and ``read_assertion`` in a
thread.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar
from urllib.parse import urlsplit

from engine.domain.errors import InvalidValue, RexAlgoError

T = TypeVar("T")
ANSWER_CHARACTERS_MAX: Final = 16_384
CREDENTIAL_BYTES_MAX: Final = 1_023
"""The longest id of a credential (CTAP 2.2)."""
PUBLIC_KEY_BYTES_MAX: Final = 1_024
ASKED_FOR: Final = timedelta(minutes=2)
"""How long a browser lets a person choose and unlock an authenticator."""
_ALGORITHMS: Final = (-7, -8, -257)
"""ES256, EdDSA, RS256 (IANA COSE registry), in the order in which we want them."""
_ATTESTATIONS: Final = ("none", "packed")
"""A browser removes what was not asked for; ``packed`` stays where an authenticator signs for
itself.
"""


class PasskeyRefused(RexAlgoError):
    """Raised for an answer of an authenticator that proves nothing. The text says what was expected;
    it may repeat what the browser sent, so it is for the person who sent it and for nobody else.
    """


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whom an authenticator signs for: ``id`` is a host, ``origin`` what the browser must be at."""

    id: str
    origin: str
    name: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser sent, not verified: the credential and the challenge that it names."""

    text: str
    credential: bytes
    challenge: bytes


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """A credential that an authenticator made: its id, its public key (COSE) and its counter."""

    credential: bytes
    public_key: bytes
    sign_count: int


def parse_relying_party(address: str, name: str) -> RelyingParty:
    """Read whom passkeys are made for from the public address of a place; raises InvalidValue.

    A browser makes passkeys only for a host with a name, over https or on ``localhost`` (WebAuthn,
    5.1.3 and 5.1.4).
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    is_named = host.isascii() and ":" not in host and not host.rpartition(".")[2].isdigit()
    if not host or not is_named or (parts.scheme != "https" and host != "localhost"):
        raise InvalidValue(
            "web.public_url",
            "https:// and a name in ASCII, or http://localhost, because a browser makes passkeys "
            "for nothing else",
            address,
        )
    default = {"https": 443, "http": 80}[parts.scheme]
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return RelyingParty(host, f"{parts.scheme}://{host}{port}", name)


def registration_options(
    party: RelyingParty, person: str, called: str, challenge: bytes, known: list[bytes]
) -> str:
    """Return as JSON what a browser is asked to make a passkey with; ``known`` are the credentials
    that the person has, so that no authenticator holds two.

    ``person`` becomes the user handle: an id that tells nothing about anybody.
    """
    return json.dumps(
        {
            "rp": {"id": party.id, "name": party.name},
            "user": {"id": _encoded(person.encode()), "name": called, "displayName": called},
            "challenge": _encoded(challenge),
            "pubKeyCredParams": [{"type": "public-key", "alg": each} for each in _ALGORITHMS],
            "timeout": ASKED_FOR // timedelta(milliseconds=1),
            "excludeCredentials": _descriptors(known),
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": True,
                "userVerification": "required",
            },
            "attestation": "none",
        }
    )


def assertion_options(party: RelyingParty, challenge: bytes, known: list[bytes]) -> str:
    """Return as JSON what a browser is asked to sign; an empty ``known`` allows every passkey of
    this installation, and tells nobody whose there are.
    """
    return json.dumps(
        {
            "rpId": party.id,
            "challenge": _encoded(challenge),
            "timeout": ASKED_FOR // timedelta(milliseconds=1),
            "allowCredentials": _descriptors(known),
            "userVerification": "required",
        }
    )


def parse_answer(text: str) -> Answer:
    """Read what a browser sent; raises PasskeyRefused for another form."""
    try:
        if len(text) > ANSWER_CHARACTERS_MAX:
            raise ValueError
        sent = json.loads(text)
        credential = _decoded(sent["id"])
        told = json.loads(_decoded(sent["response"]["clientDataJSON"]))
        challenge = _decoded(told["challenge"])
        is_framed = told.get("crossOrigin", False) is not False
    except (ValueError, KeyError, TypeError, RecursionError):
        raise PasskeyRefused("expected the answer of a passkey, found another form") from None
    if is_framed:
        raise PasskeyRefused(
            "expected a page of this installation, found one inside another site's"
        )
    if not 0 < len(credential) <= CREDENTIAL_BYTES_MAX:
        raise PasskeyRefused(f"expected an id of 1 to {CREDENTIAL_BYTES_MAX} bytes")
    return Answer(text, credential, challenge)


def read_registration(party: RelyingParty, answer: Answer) -> NewPasskey:
    """Verify what an authenticator made for the challenge of an answer; raises PasskeyRefused.

    Whether that challenge is ours is for the caller to know.
    """
    from webauthn import verify_registration_response
    from webauthn.helpers import parse_attestation_object, parse_registration_credential_json
    from webauthn.helpers.cose import COSEAlgorithmIdentifier

    def verify() -> NewPasskey:
        credential = parse_registration_credential_json(answer.text)
        form = parse_attestation_object(credential.response.attestation_object).fmt
        if form not in _ATTESTATIONS:
            raise PasskeyRefused(f"expected no attestation, found {form}")
        made = verify_registration_response(
            credential=credential,
            expected_challenge=answer.challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
            supported_pub_key_algs=[COSEAlgorithmIdentifier(each) for each in _ALGORITHMS],
        )
        if made.credential_id != answer.credential:
            raise PasskeyRefused("expected the credential that the answer names")
        if len(made.credential_public_key) > PUBLIC_KEY_BYTES_MAX:
            raise PasskeyRefused(f"expected a public key of at most {PUBLIC_KEY_BYTES_MAX} bytes")
        return NewPasskey(made.credential_id, made.credential_public_key, made.sign_count)

    return _verified(verify)


def read_assertion(party: RelyingParty, answer: Answer, person: str, public_key: bytes) -> int:
    """Verify that the owner of a passkey signed the challenge of an answer here; return the
    authenticator's counter. Raises PasskeyRefused.

    Whether that challenge is ours, and whether the counter went up, is for the caller to know.
    """
    from webauthn import verify_authentication_response
    from webauthn.helpers import parse_authentication_credential_json

    def verify() -> int:
        credential = parse_authentication_credential_json(answer.text)
        handle = credential.response.user_handle
        if handle is not None and handle != person.encode():
            raise PasskeyRefused("expected the owner of the credential")
        if credential.raw_id != answer.credential:
            raise PasskeyRefused("expected one credential, found two")
        return verify_authentication_response(
            credential=credential,
            expected_challenge=answer.challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=public_key,
            credential_current_sign_count=0,
            require_user_verification=True,
        ).new_sign_count

    return _verified(verify)


def _verified(verify: Callable[[], T]) -> T:
    """Call a check of an answer; raises PasskeyRefused for whatever is wrong with the answer."""
    try:
        return verify()
    except PasskeyRefused:
        raise
    except Exception as error:  # readers of JSON, CBOR, ASN.1 and keys, each with its own errors
        raise PasskeyRefused(str(error) or type(error).__name__) from error


def _descriptors(credentials: list[bytes]) -> list[dict[str, str]]:
    return [{"type": "public-key", "id": _encoded(each)} for each in credentials]


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    """Return the bytes of a base64url text without padding (RFC 4648, 5); raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
