"""Metrics of a real server in a storm of 429: they equal the ledger, every expression in
deploy/prometheus refers to one of them, and the alert rules fire on what a storm shows.
"""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import alert_rules
import httpx
import pytest
from alert_rules import CALM, FOLDER, STEP_S, Samples, between_calm, constant, firing, samples
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, until
from simulated_mudrex import Simulator, simulated

TOKEN = "a-token-of-its-own"
ORDERS = {"path": "/futures/order", "method": "POST"}
LOOKED_UP = ("/futures/orders", "/futures/positions")
EVERY_REQUEST = {"fault": "rate_limit", "times": 0}


def by_label(scraped: Samples, name: str, label: str) -> dict[str, int]:
    sums = Counter[str]()
    for (each, labels), value in scraped.items():
        if each == name:
            sums[dict(labels)[label]] += int(value)
    return dict(sums)


def expressions() -> list[str]:
    """Return every expression of the dashboard and of the rules."""
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [*shown, *(each["expr"] for each in alert_rules.rules().values())]


@contextmanager
def trading(folder: Path, exchange: Simulator) -> Iterator[tuple[Place, httpx.Client]]:
    """Serve four followers at the simulator; a token is asked for the metrics."""
    token = folder / "token"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    place = Place(
        folder / "place",
        f'[metrics]\ntoken_file = "{token}"\n[plugin.mudrex]\nbase_url = "{exchange.base_url}"',
    )
    run_cli("plugin", "enable", "mudrex", cwd=place.folder)
    place.provision(
        DECLARATIONS.format(followers=4).replace('"paper"', '"mudrex"').replace("paper-", "sim-")
    )
    place.serve()
    with httpx.Client(trust_env=False, timeout=20) as client:
        yield place, client
    assert place.end(signal.SIGTERM) == 0


def scrape(place: Place, client: httpx.Client) -> str:
    answer = client.get(f"{place.url}/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


def of_the_ledger(place: Place) -> dict[str, object]:
    """Count what the metrics count, by the ledger's own rows."""
    outcomes = "SELECT subject, count(*) FROM event WHERE kind = 'outcome' GROUP BY subject"
    unproven = (
        "SELECT state, count(*) FROM attempt WHERE state IN ('unknown', 'not_confirmed') "
        "GROUP BY state"
    )
    numbers = {
        name: place.rows(f"SELECT count(*) FROM {name}")[0][0]
        for name in ("signal", "copy", "attempt")
    }
    return numbers | {
        "outcomes": dict(place.rows(outcomes)),
        "unproven": {"unknown": 0, "not_confirmed": 0} | dict(place.rows(unproven)),
    }


def of_the_scrape(scraped: Samples) -> dict[str, object]:
    states = by_label(scraped, "rexalgo_open_orders", "state")
    return {
        "signal": scraped["rexalgo_signals_total", ()],
        "copy": scraped["rexalgo_copies_total", ()],
        "attempt": scraped["rexalgo_orders_total", ()],
        "outcomes": by_label(scraped, "rexalgo_outcomes_total", "code"),
        "unproven": {each: states[each] for each in ("unknown", "not_confirmed")},
    }


def equal(place: Place, client: httpx.Client) -> str:
    """Scrape while nothing changes; return the text, which equals the ledger."""
    before, text = of_the_ledger(place), scrape(place, client)
    while before != (before := of_the_ledger(place)):  # something was recorded meanwhile
        text = scrape(place, client)
    assert of_the_scrape(samples(text)) == before
    return text


def refusals(text: str) -> int:
    """Return how many calls were refused for their rate."""
    return by_label(samples(text), "rexalgo_exchange_errors_total", "error")["TooManyRequests"]


def test_a_scrape_in_a_storm_equals_the_ledger_and_names_nobody(tmp_path: Path) -> None:
    with (
        simulated(tmp_path / "orders.jsonl") as exchange,
        trading(tmp_path, exchange) as (place, client),
    ):
        refused = client.get(f"{place.url}/metrics")
        assert (refused.status_code, refused.content) == (401, b"")
        wrong = client.get(f"{place.url}/metrics", headers={"authorization": "Bearer a-token"})
        assert wrong.status_code == 401
        bot = place.bots["trend"]
        exchange.rules(
            ORDERS | {"fault": "accept_then_drop", "times": 0},
            *({"path": each, "method": "GET"} | EVERY_REQUEST for each in LOOKED_UP),
        )
        first = bot.post(client, opening("one")).json()["signal_id"]
        # on a busy machine the simulator's own limit refuses some before they are accepted
        until(lambda: "unknown" in place.codes(first))
        until(lambda: refusals(scrape(place, client)) > 2)
        stormy = samples(equal(place, client))
        assert by_label(stormy, "rexalgo_open_orders", "state")["unknown"] > 0
        exchange.rules()
        place.settled(first)
        second = bot.post(client, closing("two")).json()["signal_id"]
        place.settled(second)
        assert bot.post(client, closing("two")).json()["duplicate"]
        text = equal(place, client)
    scraped = samples(text)
    assert scraped["rexalgo_signals_total", ()] == 2
    assert scraped["rexalgo_copies_total", ()] == 8
    assert scraped["rexalgo_order_seconds_count", (("stage", "total"),)] > 0
    assert sum(by_label(scraped, "rexalgo_deliveries_total", "answer").values()) == 3
    secret = place.bots["trend"].secret.reveal()
    for name in ("f0001", "trend", "sim-0001", "BTCUSDT", "alpha", secret, "a-token-of"):
        assert name not in text
    known = {name for name, _ in scraped}
    missing = set().union(*map(alert_rules.words, expressions())) - known
    assert missing <= {"rexalgo_alerts_total", "rexalgo_backup_age_seconds"}, missing
    stored = {name.partition("{")[0] for name in alert_rules.recorded()}
    assert stored <= known, "the recording names what is not shown any more"
    labels = {label for _, pairs in scraped for label, _ in pairs}
    assert labels == {
        "version",
        "code",
        "stage",
        "state",
        "channel",
        "answer",
        "task",
        "exchange",
        "error",
        "le",
    }
    command = [alert_rules.promtool(), "check", "metrics"]
    checked = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.skipif("REXALGO_STORM" not in os.environ, reason="REXALGO_STORM names no file")
def test_a_storm_is_recorded(tmp_path: Path) -> None:
    scrapes = []
    with (
        simulated(tmp_path / "orders.jsonl") as exchange,
        trading(tmp_path, exchange) as (place, client),
    ):
        for step in range(1 + (10 + 6) * 60 // STEP_S):
            scrapes.append(samples(scrape(place, client)))
            exchange.rules(*([EVERY_REQUEST] if step * STEP_S < 600 else []))
            body = closing(f"{step}") if step % 2 else opening(f"{step}")
            assert place.bots["trend"].post(client, body).status_code == 202
            time.sleep(STEP_S)
    alert_rules.record(scrapes, Path(os.environ["REXALGO_STORM"]))


CHANNEL = 'rexalgo_alerts_untold{channel="log"}'
AT = '{exchange="mudrex"}'
FIRES: dict[str, tuple[dict[str, str], int]] = {
    "RexAlgoDown": ({"up{}": "0x400"}, 5),
    "RexAlgoLedgerNotWritable": ({"rexalgo_ledger_healthy{}": "0x400"}, 3),
    "RexAlgoFrozen": ({"rexalgo_frozen{}": "1x400"}, 21),
    "RexAlgoQueueOld": ({"rexalgo_queue_age_seconds{}": "11+15x400"}, 5),
    "RexAlgoOrdersUnproven": ({'rexalgo_open_orders{state="unknown"}': "1x400"}, 21),
    "RexAlgoExchangeErrors": (
        {'rexalgo_exchange_errors_total{error="Rejected",exchange="mudrex"}': "0+1x400"},
        60,
    ),
    "RexAlgoRateCut": ({f"rexalgo_exchange_rate_share{AT}": "1x80 0.4x300"}, 125),
    "RexAlgoPricesFailing": ({f"rexalgo_exchange_prices_failing{AT}": "1x400"}, 9),
    "RexAlgoAccountsTroubled": ({"rexalgo_accounts_troubled{}": "1x400"}, 21),
    "RexAlgoClockOff": ({f"rexalgo_exchange_clock_offset_seconds{AT}": "-2.5x400"}, 21),
    "RexAlgoSlowOrders": (
        {
            'rexalgo_order_seconds_bucket{le="10.0",stage="total"}': "0+1x400",
            'rexalgo_order_seconds_bucket{le="30.0",stage="total"}': "0+2x400",
            'rexalgo_order_seconds_bucket{le="60.0",stage="total"}': "0+2x400",
            'rexalgo_order_seconds_bucket{le="+Inf",stage="total"}': "0+2x400",
        },
        60,
    ),
    "RexAlgoLoopSlow": ({"rexalgo_loop_turn_max_seconds{}": "1.5x400"}, 21),
    "RexAlgoTasksRestart": ({'rexalgo_task_restarts_total{task="follower"}': "0+1x400"}, 41),
    "RexAlgoBackupOverdue": ({"rexalgo_backup_overdue{}": "1x400"}, 241),
    "RexAlgoAlertsUntold": ({CHANNEL: "1x400"}, 41),
}
"""What makes each rule fire, and by which step."""


def test_each_rule_fires_alone_on_what_it_is_for_and_none_on_a_healthy_place(
    tmp_path: Path,
) -> None:
    assert set(FIRES) == set(alert_rules.rules())
    healthy = {name: constant(values[0]) for name, values in alert_rules.recorded().items()}
    healthy["up{}"] = "1x400"
    stories = [(healthy, 300, set[str]())]
    for name, (changes, step) in FIRES.items():
        stories.append((healthy | changes, step, {name}))
        stories.append((healthy | changes, 0, set()))
    told = firing(tmp_path, stories)
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_rules_fire_in_a_recorded_storm_and_end_with_it(tmp_path: Path) -> None:
    storm = {name: between_calm(values) for name, values in alert_rules.recorded().items()}
    storm["up{}"] = "1x400"
    early = {"RexAlgoPricesFailing"}
    late = early | {"RexAlgoExchangeErrors", "RexAlgoRateCut", "RexAlgoAccountsTroubled"}
    stories = [
        (storm, CALM - 1, set[str]()),
        (storm, CALM + 3 * 60 // STEP_S, early),
        (storm, CALM + 10 * 60 // STEP_S, late),
        (storm, CALM + 30 * 60 // STEP_S, set[str]()),
    ]
    told = firing(tmp_path, stories)
    assert told.returncode == 0, told.stdout + told.stderr
