"""The walk of one signal in docs/architecture.md is the way that a real signal takes: every function
it names is called, in the order it says.
"""

import json
import re
import secrets
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Final

from web_place import PASSWORD, SETTINGS, WebPlace, web_place

from engine.domain.identifiers import EndpointId
from engine.domain.person import Role
from engine.keys.sealed_secrets import endpoint_keys
from rexalgo import sign_a

ROOT: Final = Path(__file__).resolve().parents[2]
_STEP: Final = re.compile(r"^\| (\d+) \| `([a-z_/]+\.py)` \| `([a-z_.]+)` \|", re.MULTILINE)
TERMS: Final = {
    "mode": "live",
    "sizing": "fixed_margin",
    "size": "50",
    "leverage_mode": "capped",
    "leverage": "5",
    "symbols": "BTCUSDT",
}
STEPS: Final = [
    (file, function.rpartition(".")[2])
    for _, file, function in _STEP.findall((ROOT / "docs/architecture.md").read_text("utf-8"))
]


class Calls:
    """The functions of this project that are called or go on, on every thread begun meanwhile."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.on = False

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if self.on and event == "call":
            file = frame.f_code.co_filename
            if file.startswith(f"{ROOT}/"):
                self.seen.append((file[len(f"{ROOT}/") :], frame.f_code.co_name))

    def __enter__(self) -> "Calls":
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


async def request(place: WebPlace, strategy: str) -> tuple[str, bytes, dict[str, str]]:
    """Return the address, the body and the headers of one signed signal."""
    db = place.context.ledger.db
    row = db.execute(
        "SELECT id FROM endpoint WHERE strategy_id = ? AND token_hash IS NULL", (strategy,)
    ).fetchone()
    assert row is not None
    vault, now = await place.context.open_vault(), place.clock.now()
    key = endpoint_keys(db, vault, EndpointId(row[0]), now)[0]
    signal = {"action": "open", "symbol": "BTCUSDT", "side": "LONG", "order_type": "MARKET"}
    body = json.dumps({"idempotency_key": secrets.token_hex(8), **signal}).encode()
    return f"/api/webhooks/copy-trading/{row[0]}", body, dict(sign_a(key.secret, body, now))


async def test_a_signal_takes_the_way_that_the_architecture_says(tmp_path: Path) -> None:
    with Calls() as calls:
        async with web_place(tmp_path, SETTINGS) as place:
            strategy = await place.strategy(await place.person("ada", Role.MASTER))
            bob = await place.person("bob", balance="1000")
            page = f"/strategies/{strategy}/follow"
            await bob.get(page)
            await bob.post(page, do="agree", **TERMS)
            await bob.post(page, factor=PASSWORD)
            address, body, headers = await request(place, strategy)
            calls.on = True
            answer = await place.browser().client.post(address, data=body, headers=headers)
            assert answer.status_code == 202, await answer.get_data(as_text=True)
            receipt = json.loads(await answer.get_data())["receipt"]
            db = place.context.ledger.db
            await place.until(
                lambda: db.execute("SELECT 1 FROM copy WHERE code = 'filled'").fetchone()
            )
            await place.browser().client.get(receipt)
            calls.on = False
    walked = iter(calls.seen)
    missed = [step for step in STEPS if step not in walked]
    assert len(STEPS) >= 20
    assert missed == []
