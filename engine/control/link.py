"""What the two processes of a place agree on before they work together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.ports.secret import Secret

ATTACH: Final = "attach"
"""The method by which a web process begins its connection on the control socket."""
FRAMES: Final = 2
"""The version of the frames."""


@dataclass(frozen=True, slots=True)
class AskedBy:
    """Who asks, as the web process shows them: the secret id of their session, and the address of
    their request.
    """

    sid: Secret
    address: str


@dataclass(frozen=True, slots=True)
class Greeting:
    """What both processes must share: the program's version, the frames' and the ledger's."""

    version: str
    ledger: int
    frames: int = FRAMES

    def written(self) -> dict[str, object]:
        """Return it as JSON."""
        return {"version": self.version, "ledger": self.ledger, "frames": self.frames}

    def why_refused(self, told: Mapping[str, Any]) -> str:
        """Return why a web process that told this cannot be served; empty if it can."""
        if dict(told) == self.written():
            return ""
        return (
            f"expected a web process of version {self.version} (ledger {self.ledger}), found "
            f"version {str(told.get('version'))[:40]} (ledger {str(told.get('ledger'))[:10]}): "
            "restart both processes from the same installation"
        )
