"""One-time codes of an authenticator app (RFC 6238: SHA-1, 30 s, six digits) and one-time recovery
codes.
"""

import base64
import hashlib
import hmac
import io
import secrets
from datetime import datetime
from typing import Final

import pyotp
import segno

from engine.domain.errors import InvalidValue
from engine.ports.secret import Secret

STEP_S: Final = 30
DRIFT_STEPS: Final = 1
_MASK: Final = 7
RECOVERY_CODES: Final = 10
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # without easily confused characters


def new_totp_secret() -> Secret:
    """Create a secret for an authenticator app."""
    return Secret(pyotp.random_base32())


def parse_totp_secret(text: str, field: str = "secret") -> Secret:
    """Read a secret that a form brought back: base32 of at least 20 bytes; raises InvalidValue
    without repeating it.
    """
    try:
        fits = 20 <= len(base64.b32decode(text, casefold=True)) <= 64
    except ValueError:
        fits = False
    if not fits:
        raise InvalidValue(field, "the secret that this page offered; load the page again")
    return Secret(text)


def totp_step(secret: Secret, code: str, now: datetime, used: int) -> int | None:
    """Return the time step that a code belongs to, None for a wrong code. It allows one step of
    drift, and no step up to ``used`` again.
    """
    digits = "".join(code.split())
    if len(digits) != 6 or not (digits.isascii() and digits.isdigit()):
        return None
    app, here = pyotp.TOTP(secret.reveal(), interval=STEP_S), int(now.timestamp()) // STEP_S
    fitting = [
        step
        for step in range(here - DRIFT_STEPS, here + DRIFT_STEPS + 1)
        if hmac.compare_digest(app.generate_otp(step), digits)
    ]  # every step is compared, so that the answer takes the same time
    return next((step for step in reversed(fitting) if step > used), None)


def totp_address(secret: Secret, name: str, place: str) -> str:
    """Return the ``otpauth://`` address that an authenticator app reads."""
    return pyotp.TOTP(secret.reveal(), interval=STEP_S).provisioning_uri(
        name=name, issuer_name=place
    )


def qr_svg(text: str) -> str:
    """Return a QR code as an SVG element without inline style.

    It always has one mask, which the code itself names: trying all eight takes five times as long,
    and this one is 4 % above the lowest penalty on average.
    """
    drawn = io.BytesIO()
    segno.make(text, error="m", mask=_MASK).save(
        drawn, kind="svg", xmldecl=False, svgns=True, scale=5, border=3, dark="#000", light="#fff"
    )
    return drawn.getvalue().decode()


def qr_terminal(text: str) -> str:
    """Return a QR code for a terminal."""
    drawn = io.StringIO()
    segno.make(text, error="m").terminal(out=drawn, compact=True)
    return drawn.getvalue()


def new_recovery_codes() -> list[Secret]:
    """Create ten one-time codes of about 59 bits each, such as ``k7mq-x2np-9rtd``."""
    return [
        Secret("-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3)))
        for _ in range(RECOVERY_CODES)
    ]


def recovery_hash(code: str) -> bytes:
    """Return the stored form of a recovery code. Case, blanks and dashes do not matter; the codes
    are random, so a fast hash is enough.
    """
    plain = "".join(each for each in code.lower() if each.isalnum())
    return hashlib.sha256(f"rexalgo/recovery/v1|{plain}".encode(errors="surrogatepass")).digest()
