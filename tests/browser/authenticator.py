"""Chromium's virtual authenticator: a phone or computer that holds passkeys and verifies its user."""

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import CDPSession, Page


@dataclass
class Authenticator:
    """A virtual authenticator of one page."""

    session: CDPSession
    id: str

    @property
    def passkeys(self) -> list[dict[str, Any]]:
        """Return the credentials that it holds, private keys and counters included."""
        told = self.session.send("WebAuthn.getCredentials", {"authenticatorId": self.id})
        return list(told["credentials"])

    def hold(self, passkey: dict[str, Any]) -> None:
        """Put a credential in place of the one with its id."""
        named = {"authenticatorId": self.id, "credentialId": passkey["credentialId"]}
        if any(each["credentialId"] == passkey["credentialId"] for each in self.passkeys):
            self.session.send("WebAuthn.removeCredential", named)
        self.session.send(
            "WebAuthn.addCredential", {"authenticatorId": self.id, "credential": passkey}
        )

    def lose(self) -> None:
        """Lose every credential."""
        self.session.send("WebAuthn.clearCredentials", {"authenticatorId": self.id})

    def verify(self, is_verified: bool) -> None:
        """Set whether the person is recognised by their finger."""
        self.session.send(
            "WebAuthn.setUserVerified",
            {"authenticatorId": self.id, "isUserVerified": is_verified},
        )


def authenticator(page: Page) -> Authenticator:
    """Plug an authenticator in that signs as soon as it is asked."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    told = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return Authenticator(session, told["authenticatorId"])
