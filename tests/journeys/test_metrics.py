"""Metrics of a real server in a storm of 429: they equal the ledger, and every expression in
deploy/prometheus refers to one of them.
"""

import json
import re
import signal
from pathlib import Path

import httpx
from journey_place import DECLARATIONS, Place, closing, opening, run_cli
from prometheus_client.parser import text_string_to_metric_families
from simulated_mudrex import simulated

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
WORDS = re.compile(r"\brexalgo_[a-z0-9_]+")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def by_label(scraped: Samples, name: str, label: str) -> dict[str, int]:
    return {
        dict(labels)[label]: int(value) for (each, labels), value in scraped.items() if each == name
    }


def expressions() -> list[str]:
    """Return every expression of the dashboard and of the rules."""
    dashboard = json.loads((DEPLOY / "dashboard.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = re.findall(r"^\s+expr: (.+)$", (DEPLOY / "rules.yaml").read_text(), re.MULTILINE)
    assert len(rules) == (DEPLOY / "rules.yaml").read_text().count("- alert:")
    return [*shown, *rules]


def test_a_scrape_in_a_storm_equals_the_ledger_and_names_nobody(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-its-own\n")
    token.chmod(0o600)
    with simulated(tmp_path / "orders.jsonl") as exchange:
        place = Place(
            tmp_path / "place",
            f'[metrics]\ntoken_file = "{token}"\n[plugin.mudrex]\nbase_url = "{exchange.base_url}"',
        )
        run_cli("plugin", "enable", "mudrex", cwd=place.folder)
        place.provision(
            DECLARATIONS.format(followers=4)
            .replace('"paper"', '"mudrex"')
            .replace("paper-", "sim-")
        )
        place.serve()
        exchange.rules({"fault": "rate_limit", "times": 0, "probability": 0.15})
        with httpx.Client(trust_env=False, timeout=20) as client:
            refused = client.get(f"{place.url}/metrics")
            assert (refused.status_code, refused.content) == (401, b"")
            wrong = client.get(f"{place.url}/metrics", headers={"authorization": "Bearer a-token"})
            assert wrong.status_code == 401
            for number, body in enumerate((opening("one"), closing("two"), opening("three"))):
                answer = place.bots["trend"].post(client, body)
                assert answer.status_code == 202
                place.settled(answer.json()["signal_id"], 180)
                assert place.bots["trend"].post(client, body).json()["duplicate"], number
            scrape = client.get(
                f"{place.url}/metrics", headers={"authorization": "Bearer a-token-of-its-own"}
            )
        assert scrape.headers["content-type"].startswith("text/plain; version=0.0.4")
        exchange.rules()
        assert place.end(signal.SIGTERM) == 0
    scraped, after = samples(scrape.text), "WHERE kind = 'outcome' GROUP BY subject"
    assert by_label(scraped, "rexalgo_outcomes_total", "code") == dict(
        place.rows(f"SELECT subject, count(*) FROM event {after}")
    )
    assert scraped["rexalgo_signals_total", ()] == 3
    assert scraped["rexalgo_orders_total", ()] == place.rows("SELECT count(*) FROM attempt")[0][0]
    assert scraped["rexalgo_order_seconds_count", (("stage", "total"),)] >= 12
    assert sum(by_label(scraped, "rexalgo_deliveries_total", "answer").values()) == 6
    errors = by_label(scraped, "rexalgo_exchange_errors_total", "error")
    assert errors.get("TooManyRequests", 0) > 0, errors
    secret = place.bots["trend"].secret.reveal()
    for name in ("f0001", "trend", "sim-0001", "BTCUSDT", "alpha", secret, "a-token-of"):
        assert name not in scrape.text
    known = {name for name, _ in scraped}
    missing = {word for each in expressions() for word in WORDS.findall(each)} - known
    assert missing <= {"rexalgo_alerts_total", "rexalgo_backup_age_seconds"}, missing
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
