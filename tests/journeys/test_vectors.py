"""The published signature vectors, over a real socket, against an engine whose clock is fixed at
their time.
"""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from journey_place import DECLARATIONS, Place

from engine.domain.identifiers import EndpointId
from engine.keys.sealed_secrets import open_vault, seal_endpoint_secret
from engine.ledger import Database, Ledger
from engine.ledger.people import endpoint_owner, insert_endpoint_secret, person_key
from engine.ports.signal_source import Delivery
from engine.run import run_engine
from engine.settings.config import load_config
from engine.views import ReceptionKind
from rexalgo import Secret, sign_a
from web.app import create_app
from web.server import ServerConfig, serve_web
from web.settings import WebSettings

BODY = b'{"test": 2432232314}'
SIGNED_AT = 1614265330
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
VECTORS = {
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": (
        "2e37df5d4a028c51a7f3133d64ae1e300d2c2c900f1b1d49d4369ad2530f8964",
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    "whsec_" + "00112233445566778899aabbccddeeff" * 2: (
        "9b21dd00fe6d7ca3af24e7635bdbe293f8003e471a27415afd7ca7a1bf8312aa",
        "o5jHnIXpLvhmKE9ZazxSiD1gmAqw9pIaEh7TWAB8Kig=",
    ),
}


class FrozenClock:
    """A clock fixed at the time of the vectors."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(SIGNED_AT, UTC)


async def give_secret(folder: Path, secret: str) -> str:
    """Seal our own secret for the only endpoint; return the endpoint."""
    config = load_config(folder, {})
    ledger = Ledger.open(config.ledger.path, inline=True)
    assert config.secrets.encryption_key is not None
    vault = await open_vault(ledger, config.secrets.encryption_key)

    def insert(db: Database) -> str:
        endpoint = EndpointId(str(db.execute("SELECT id FROM endpoint").fetchone()[0]))  # type: ignore[index]
        key = person_key(db, endpoint_owner(db, endpoint))
        insert_endpoint_secret(
            db, seal_endpoint_secret(vault, key, endpoint, Secret(secret)), FrozenClock().now()
        )
        return endpoint

    try:
        return await ledger.write(insert)
    finally:
        await ledger.aclose()


async def test_a_secret_that_does_not_open_refuses_its_own_deliveries_and_nobody_elses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(tmp_path)
    more = (
        '\n[[strategy]]\nname = "other"\nmaster = "alpha"\nkind = "copy_trading"\nsymbols = '
        '["BTCUSDT"]\nleverage = "5"\n'
    )
    place.provision(DECLARATIONS.format(followers=1) + more)
    config, clock = load_config(tmp_path, {}), FrozenClock()
    ledger = Ledger.open(config.ledger.path, inline=True)
    torn, whole = (place.bots[name].url.rpartition("/")[2] for name in ("trend", "other"))
    await ledger.write(
        lambda db: db.execute(
            "UPDATE endpoint_secret SET sealed = zeroblob(200) WHERE endpoint_id = ?", (torn,)
        )
    )
    await ledger.aclose()
    body = b'{"idempotency_key":"k","action":"close","symbol":"BTCUSDT"}'
    async with run_engine(config, clock=clock) as engine:
        kinds = []
        for name, endpoint in (("trend", torn), ("other", whole)):
            signed = sign_a(place.bots[name].secret, body, clock.now())
            headers = tuple((key.lower(), value) for key, value in signed.items())
            kinds.append(
                (
                    await engine.ingress.receive(
                        endpoint, Delivery(body, headers, "192.0.2.1", clock.now())
                    )
                ).kind
            )
        assert kinds == [ReceptionKind.NOT_AUTHENTIC, ReceptionKind.ACCEPTED]
    assert f"endpoint {torn} takes no deliveries" in caplog.text


@pytest.mark.parametrize("secret", VECTORS)
async def test_vectors_are_taken_and_their_neighbours_are_not(secret: str, tmp_path: Path) -> None:
    in_a, in_b = VECTORS[secret]
    place = Place(tmp_path)
    place.provision(DECLARATIONS.format(followers=1))
    endpoint = await give_secret(tmp_path, secret)
    clock, stop = FrozenClock(), trio.Event()
    async with (
        run_engine(load_config(tmp_path, {}), clock=clock) as engine,
        trio.open_nursery() as nursery,
    ):
        app = create_app(engine, WebSettings(), now=clock.now)
        bound = await nursery.start(
            partial(serve_web, app, ServerConfig(port=0), shutdown_trigger=stop.wait)
        )
        url = f"{bound.url}/api/webhooks/copy-trading/{endpoint}"
        dialect_a = {"X-RexAlgo-Signature": f"t={SIGNED_AT},v1={in_a}"}
        dialect_b = {
            "webhook-id": ID,
            "webhook-timestamp": str(SIGNED_AT),
            "webhook-signature": f"v1,{in_b}",
        }
        late = datetime.fromtimestamp(SIGNED_AT, UTC) - timedelta(seconds=61)
        refused = [
            {
                "X-RexAlgo-Signature": f"t={SIGNED_AT},v1={in_a[:-1]}{'0' if in_a[-1] != '0' else '1'}"
            },
            {"X-RexAlgo-Signature": f"t={SIGNED_AT + 1},v1={in_a}"},
            {"X-RexAlgo-Signature": f"t={SIGNED_AT},v1={in_a.upper()}"},
            {**dialect_b, "webhook-id": ID + "x"},
            {**dialect_b, "webhook-signature": f"v2,{in_b}"},
            sign_a(Secret(secret), BODY, late),
            {**dialect_a, "webhook-id": ID},
            {},
        ]
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            # The vectors' body is no signal: 422 says that the signature was believed and the body
            # read.
            for headers in (
                dialect_a,
                dialect_b,
                {**dialect_a, "X-RexAlgo-Signature": f"t={SIGNED_AT},v1={'0' * 64},v1={in_a}"},
            ):
                assert (await client.post(url, content=BODY, headers=headers)).status_code == 422
            bodies = set()
            for headers in refused:
                answer = await client.post(url, content=BODY, headers=headers)
                assert answer.status_code == 401, headers
                bodies.add(answer.content)
            unknown = await client.post(
                url[:-1] + ("0" if url[-1] != "0" else "1"), content=BODY, headers=dialect_a
            )
            assert {*bodies, unknown.content} == {unknown.content}
            assert unknown.status_code == 401
        stop.set()
