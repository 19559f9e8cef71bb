"""Moving everything under the active root key, step by step, as several commands do it."""

from pathlib import Path
from typing import Any

from engine.commands.keys import words_of
from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError


def rewrap_all(where: Path) -> dict[str, Any]:
    """Run steps until nothing is left; raise CliError when a full round moves nothing."""
    moved, left_before = 0, None
    while True:
        answer = ask(where, "key_rewrap", by=who())
        moved += answer["moved"]
        if answer["done"]:
            return {"active": answer["active"], "moved": moved, "left": {}, "done": True}
        if answer["is_through"] and answer["left"] == left_before:
            words = "; ".join(
                f"under {kid} {words_of(counts)}" for kid, counts in answer["left"].items()
            )
            raise CliError(
                f"{moved} moved; some secrets do not open and stay: {words}. The log names each; "
                "keep their key"
            )
        left_before = answer["left"] if answer["is_through"] else left_before
