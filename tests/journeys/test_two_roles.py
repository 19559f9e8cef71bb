"""Two processes on one folder: the engine with the ledger and the keys, and the web that verifies,
asks and shows. Either ends and comes back alone; nothing is lost and nothing happens twice.
"""

import json
import secrets
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from browser_free import IDLE, close_all
from coming_in import PASSWORD, come_in
from journey_place import DECLARATIONS, REXALGO, Place, closing, opening, run_cli, until
from simulated_mudrex import simulated

from rexalgo import Secret
from tests.journeys.forked import Process, start

SETTINGS = '[plugin.paper]\nprice_fixed = { BTCUSDT = "65000" }\n'
FOLLOWERS = 5
AWAY = "engine of this installation is not running"


@dataclass
class Role:
    """One of the two processes."""

    place: Place
    name: str
    arguments: tuple[str, ...] = ()
    process: Process | None = None
    told: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Start it and wait until it says where it is."""
        with (self.place.folder / f"log-{self.name}").open("a", encoding="utf-8") as log:
            command = [*REXALGO, "serve", "--role", self.name, *self.arguments, "--json"]
            self.process = start(command, self.place.folder, log)
        assert self.process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = self.process.stdout.readline()
            assert line, self.log()
            text += line
        self.told = json.loads(text)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def log(self) -> str:
        """Return what it logged."""
        return (self.place.folder / f"log-{self.name}").read_text(encoding="utf-8")


@dataclass
class Two:
    """A folder with its two processes."""

    place: Place
    web: Role
    engine: Role
    client: httpx.Client

    def serve_web(self) -> None:
        """Start the web process, on the port it had before."""
        self.web.start()
        url = self.web.told["url"]
        self.web.arguments = ("--port", url.rpartition(":")[2])
        self.place.url = url
        for bot in self.place.bots.values():
            bot.url = url + "/api/webhooks" + bot.url.partition("/api/webhooks")[2]

    def get(self, path: str) -> httpx.Response:
        """Look at a page."""
        return self.client.get(self.place.url + path)

    def wait_ready(self) -> None:
        """Wait until orders can flow."""
        until(lambda: self.get("/api/ready").status_code == 200)

    def post(self, key: str, **changes: object) -> httpx.Response:
        """Deliver an entry."""
        return self.place.bots["trend"].post(self.client, opening(key, **changes))

    def decide_as_a_person(self, signal_id: str) -> None:
        """Decide that what left no trace was not sent: until then its contract takes no entry."""
        unproven = (
            "SELECT name FROM copy JOIN account ON account.id = account_id JOIN signal ON number = "
            "signal_number WHERE signal.id = ? AND code = 'not_confirmed'"
        )
        for (name,) in self.place.rows(unproven, signal_id):
            decided = ("decide", signal_id, name, "--none", "--note", "looked at the journal")
            run_cli("unknown", *decided, cwd=self.place.folder)

    def flatten(self, key: str) -> None:
        """Deliver an exit, and wait until nothing is open."""
        answer = self.place.bots["trend"].post(self.client, closing(key))
        assert answer.status_code == 202, answer.text
        self.place.settled(answer.json()["signal_id"])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    state = tmp_path_factory.mktemp("mudrex") / "orders.jsonl"
    with (
        simulated(state) as simulator,
        httpx.Client(trust_env=False, timeout=60, limits=IDLE) as client,
    ):
        settings = f'{SETTINGS}[plugin.mudrex]\nbase_url = "{simulator.base_url}"\n'
        place = Place(tmp_path_factory.mktemp("two"), settings=settings)
        run_cli("plugin", "enable", "mudrex", cwd=place.folder)
        place.provision(DECLARATIONS.format(followers=FOLLOWERS))
        made = Two(place, Role(place, "web", ("--port", "0")), Role(place, "engine"), client)
        try:
            yield made
        finally:
            close_all()
            for each in (made.web, made.engine):
                if each.process is not None:
                    each.end(signal.SIGKILL)


def test_the_web_may_start_first_and_answers_503_until_the_engine_is_there(two: Two) -> None:
    two.serve_web()
    early = two.post("early")
    assert (early.status_code, early.headers["retry-after"]) == (503, "5")
    page = two.get("/sign-in")
    assert page.status_code == 503
    assert AWAY in page.text
    two.engine.start()
    two.wait_ready()
    answer = two.post("early")
    assert answer.status_code == 202
    assert two.place.settled(answer.json()["signal_id"]) == ["filled"] * FOLLOWERS


def test_a_delivery_is_recorded_by_the_engine_and_repeated_with_its_first_answer(two: Two) -> None:
    two.flatten("once-flat")
    first = two.post("once")
    assert first.status_code == 202
    assert two.place.settled(first.json()["signal_id"]) == ["filled"] * FOLLOWERS
    again = two.post("once")
    assert again.status_code == 200
    assert again.json()["receipt"] == first.json()["receipt"]
    assert two.post("once", leverage="2").status_code == 409
    receipt = two.get(first.json()["receipt"]).json()
    assert receipt["outcomes"] == {"filled": FOLLOWERS}


def test_commands_of_the_shell_reach_the_engine(two: Two) -> None:
    told = json.loads(run_cli("status", "--json", cwd=two.place.folder))
    assert told["engine"]["running"] is True, told
    assert json.loads(run_cli("system", "--json", cwd=two.place.folder))["web"] == "connected"
    found = json.loads(run_cli("doctor", "--json", cwd=two.place.folder, code=None))["findings"]
    assert "a web process is connected" in [each["what"] for each in found]
    page, printed = two.get("/metrics").text, run_cli("metrics", cwd=two.place.folder)
    for text in (page, printed):  # what the web process answered, in the engine's metrics
        assert 'rexalgo_deliveries_total{answer="accepted"}' in text
        assert 'rexalgo_deliveries_total{answer="duplicate"}' in text


def test_an_engine_that_is_killed_loses_nothing_and_doubles_nothing(two: Two) -> None:
    two.flatten("flat-before-the-kill")
    sent_before = len(two.place.orders())
    before = two.post("before-the-kill").json()
    two.engine.end(signal.SIGKILL)
    away = two.post("while-away")
    assert away.status_code == 503
    assert int(away.headers["retry-after"]) >= 1
    assert two.get("/api/health").status_code == 503
    assert two.get("/metrics").status_code == 503
    two.engine.start()
    two.wait_ready()
    again = two.post("before-the-kill")
    assert (again.status_code, again.json()["receipt"]) == (200, before["receipt"])
    # an order that the kill found between its claim and its first byte is looked up for a minute
    assert len(two.place.settled(before["signal_id"])) == FOLLOWERS
    sent = [each["account"] for each in two.place.orders()[sent_before:]]
    assert len(sent) == len(set(sent)), "one order each, whenever the kill came"
    two.decide_as_a_person(before["signal_id"])
    noted = "SELECT count(*) FROM delivery WHERE kind = 'unavailable'"
    until(lambda: two.place.rows(noted) == [(1,)])  # its endpoint's owner sees it, too
    late = two.post("while-away")
    assert late.status_code == 202
    two.place.settled(late.json()["signal_id"])
    orders = [each["client_order_id"] for each in two.place.orders()]
    assert len(orders) == len(set(orders))


def test_one_folder_has_one_web_process_and_one_engine(two: Two) -> None:
    for role in ("web", "engine"):
        told = subprocess.run(
            [*REXALGO, "serve", "--role", role, "--port", "0"],
            cwd=two.place.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert told.returncode != 0
        assert f"rexalgo serve --role {role}" in told.stderr


def test_a_person_stays_signed_in_while_either_process_restarts(two: Two) -> None:
    person = come_in(two.place, "user", "link", "follower:f0001")
    person.get("/home")
    two.flatten("flat-before-the-restart")
    sent = two.post("in-flight")
    two.web.end()
    assert two.place.settled(sent.json()["signal_id"]) == ["filled"] * FOLLOWERS
    two.serve_web()
    two.wait_ready()
    assert "BTCUSDT" in person.get("/home")
    two.engine.end(signal.SIGKILL)
    # the web process may ask before it sees that the connection ended
    assert "Nothing was changed" in person.get("/home", 503)
    until(lambda: AWAY in person.get("/home", 503))
    two.engine.start()
    two.wait_ready()
    assert "BTCUSDT" in person.get("/home")
    person.post("/accounts/f0001/pause")
    assert "aused" in person.get("/home")


def test_a_key_that_is_typed_on_a_page_is_nowhere_in_clear(two: Two) -> None:
    person = come_in(two.place, "user", "link", "follower:f0002")
    typed = f"key-{secrets.token_hex(20)}"
    person.get("/accounts/connect?exchange=mudrex")
    person.post("/accounts/connect", exchange="mudrex", secret=typed, factor=PASSWORD)
    stored = two.place.rows("SELECT count(*) FROM account WHERE exchange = 'mudrex'")
    assert stored == [(1,)], "the exchange was asked with the key, and the engine stored it"
    two.wait_ready()
    for file in two.place.folder.rglob("*"):
        if file.is_file():
            assert typed.encode() not in file.read_bytes(), file


def test_an_open_page_is_told_that_something_changed(two: Two) -> None:
    person = come_in(two.place, "user", "link", "follower:f0003")
    two.flatten("flat-before-the-news")
    with person.client.stream("GET", f"{two.place.url}/pulse") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry:")
        assert two.post("news").status_code == 202
        assert "event: changed" in lines


def test_a_revoked_secret_signs_nothing_more(two: Two) -> None:
    bot = two.place.bots["trend"]
    rotate = ("secret", "rotate", "--strategy", "trend", "--revoke-now", "--json")
    told = json.loads(run_cli(*rotate, cwd=two.place.folder))
    assert two.post("signed-with-the-old-one").status_code == 401
    bot.secret = Secret(told["secret"])
    assert two.post("signed-with-the-new-one").status_code == 202
