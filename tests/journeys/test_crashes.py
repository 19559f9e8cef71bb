"""SIGKILL and SIGTERM in the middle of a fan-out: restart, deliver again, and check against the
exchange's own record.

Twenty moments: before the first order, and after every tenth of 200. A crash may leave at most the
16 unsent claims without an order (they end NOT_CONFIRMED, looked up and never repeated); everything
else exists exactly once.
"""

import signal
import socket
from collections import Counter
from pathlib import Path

import httpx
import pytest
from journey_place import DECLARATIONS, Place, closing, opening, running, until

FOLLOWERS = 200
CLAIMS_UNSENT_MAX = 16
PRICES = {
    "BTCUSDT": "65000",
    "ETHUSDT": "3200",
    "SOLUSDT": "150",
    "BNBUSDT": "580",
    "LTCUSDT": "75",
}
"""A contract for each moment: an entry that was not confirmed keeps its symbol held, so the next
moment needs another one.
"""
SETTINGS = f"""
[plugin.paper]
price_fixed = {{ {", ".join(f'{symbol} = "{price}"' for symbol, price in PRICES.items())} }}
latency_ms = 20
orders_per_s = 1000
reads_per_s = 1000
"""
ENGINE = "not_confirmed_after_s = 5"


def place_of(folder: Path) -> Place:
    made = Place(folder, SETTINGS)
    file = folder / "rexalgo.toml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("[engine]", f"[engine]\n{ENGINE}"),
        encoding="utf-8",
    )
    symbols = '", "'.join(PRICES)
    made.provision(DECLARATIONS.format(followers=FOLLOWERS).replace('"BTCUSDT"', f'"{symbols}"'))
    return made


def judge(place: Place, signal_id: str, orders_before: int, unsent_max: int) -> None:
    """Compare the reported outcomes with the exchange's orders."""
    codes = Counter(place.settled(signal_id))
    assert codes.total() == FOLLOWERS
    orders = place.orders()[orders_before:]
    assert max(Counter(each["account"] for each in orders).values(), default=0) <= 1
    assert len({each["client_order_id"] for each in orders}) == len(orders)
    missing = FOLLOWERS - len(orders)
    assert codes["filled"] == len(orders), codes
    assert missing == codes["not_confirmed"] + codes["expired"], codes
    assert codes["not_confirmed"] <= unsent_max, codes
    assert place.rows("SELECT count(*) FROM attempt WHERE state IN ('claimed', 'unknown')") == [
        (0,)
    ]


@pytest.mark.parametrize("part", range(4))
def test_killed_in_a_fan_out_nothing_is_lost_and_nothing_is_sent_twice(
    part: int, tmp_path: Path
) -> None:
    place = place_of(tmp_path)
    for moment, symbol in zip(range(part, 20, 4), PRICES, strict=True):
        body = opening(f"kill-{moment}", symbol=symbol)
        with running(place), httpx.Client(trust_env=False, timeout=20) as client:
            before = len(place.orders())
            size = place.journal.stat().st_size if place.journal.exists() else 0
            accepted = place.bots["trend"].post(client, body)
            assert accepted.status_code == 202
            if moment:
                # The journal's growth is watched by its size, because reading 200 lines takes
                # longer than an order does.
                until(lambda size=size, moment=moment: grown(place, size) >= moment * 10)  # type: ignore[misc]
            assert place.end(signal.SIGKILL) == -signal.SIGKILL
        with running(place), httpx.Client(trust_env=False, timeout=20) as client:
            again = place.bots["trend"].post(client, body)
            assert again.status_code == 200
            assert again.json()["signal_id"] == accepted.json()["signal_id"]
            judge(place, accepted.json()["signal_id"], before, CLAIMS_UNSENT_MAX)


def grown(place: Place, size: int) -> int:
    """Return the number of orders in the journal since it had ``size`` bytes."""
    if not place.journal.exists():
        return 0
    with place.journal.open("rb") as file:
        file.seek(size)
        return file.read().count(b'"kind":"order"')


def test_sigterm_ends_within_ten_seconds_though_an_exchange_never_answers(tmp_path: Path) -> None:
    place = Place(tmp_path, "[plugin.paper]\nlatency_ms = 600000")
    file = tmp_path / "rexalgo.toml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("[engine]", "[engine]\nsend_deadline_s = 60"),
        encoding="utf-8",
    )
    place.provision(DECLARATIONS.format(followers=2))
    with running(place), httpx.Client(trust_env=False, timeout=20) as client:
        signal_id = place.bots["trend"].post(client, opening("never")).json()["signal_id"]
        until(lambda: place.rows("SELECT count(*) FROM attempt WHERE state = 'claimed'") == [(2,)])
        assert place.process is not None
        host, port = place.url.removeprefix("http://").split(":")
        with socket.create_connection(
            (host, int(port))
        ) as slow:  # the web drains for it, and that must not come on top
            slow.sendall(
                b"POST /api/webhooks/copy-trading/ep_0 HTTP/1.1\r\nHost: x\r\nContent-Length: "
                b"10\r\n\r\n"
            )
            place.process.send_signal(signal.SIGTERM)
            assert place.process.wait(20) == 0
        place.end(signal.SIGTERM)
    assert place.codes(signal_id) == ["unknown", "unknown"]


def test_ended_by_sigterm_in_a_fan_out_nothing_is_missing(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    for moment in (1, 40, 150):
        with running(place), httpx.Client(trust_env=False, timeout=20) as client:
            before = len(place.orders())
            size = place.journal.stat().st_size if place.journal.exists() else 0
            accepted = (
                place.bots["trend"].post(client, opening(f"term-{moment}")).json()["signal_id"]
            )
            until(lambda size=size, moment=moment: grown(place, size) >= moment)  # type: ignore[misc]
            assert place.end(signal.SIGTERM) == 0
            assert place.rows(
                "SELECT count(*) FROM attempt WHERE state IN ('claimed', 'unknown')"
            ) == [(0,)]
        with running(place), httpx.Client(trust_env=False, timeout=20) as client:
            judge(place, accepted, before, 0)
            closed = place.bots["trend"].post(client, closing(f"term-{moment}-close"))
            assert set(place.settled(closed.json()["signal_id"])) <= {
                "filled",
                "skipped.nothing_to_close",
            }
