"""After an account is disconnected its owner can still read and download its data; the audit names
the origin of every action.
"""

import csv
import getpass
import io
import json
import re
from collections.abc import Iterator

import coming_in
import httpx
import pytest
from browser_free import User, close_all
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, running, until


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"))
    run_cli("plugin", "enable", "tradingview", cwd=made.folder)
    made.provision(DECLARATIONS.format(followers=2))
    with running(made):
        yield made
    close_all()


def shell(place: Place, *args: object) -> str:
    return run_cli(*args, cwd=place.folder)


def test_history_stays_readable_and_exportable_for_its_owner_alone(place: Place) -> None:
    owner = coming_in.come_in(place, "user", "link", "follower:f0001")
    with httpx.Client(trust_env=False, timeout=20) as client:
        for body in (opening("o1"), closing("c1"), opening("o2")):
            answer = place.bots["trend"].post(client, body)
            assert set(place.settled(answer.json()["signal_id"])) == {"filled"}
    until(lambda: place.rows("SELECT count(*) FROM trade")[0][0] == 2)
    signal = place.rows("SELECT id FROM signal ORDER BY number DESC LIMIT 1")[0][0]

    owner.get("/accounts/f0001/disconnect")
    owner.post("/accounts/f0001/disconnect", keep="yes")
    shown = owner.get("/accounts")
    assert "f0001 (disconnected)" in shown
    links = dict(re.findall(r'href="([^"]+)">(Results|Signals|Trades \(CSV\))<', shown))
    former = {words: address.replace("&amp;", "&") for address, words in links.items()}
    name = former["Results"].partition("account=")[2]

    page = owner.get(former["Results"])
    assert "Performance of f0001 (disconnected)" in page
    assert "Closed trades" in page
    rows = list(csv.DictReader(io.StringIO(owner.get(former["Trades (CSV)"]))))
    assert [(each["account"], each["symbol"], each["ended_by"]) for each in rows] == [
        ("f0001", "BTCUSDT", "signal")
    ]
    assert owner.get("/performance.csv").count("\n") == 2, (
        "without a name, of the only account that there was"
    )
    assert owner.get(former["Signals"]).count("f0001 (disconnected)") >= 3
    assert "f0001 (disconnected)" in owner.get("/orders")
    assert "f0001 (disconnected)" in owner.get(f"/signals/{signal}/{name}")
    assert ">trend</option>" in owner.get("/signals"), (
        "a strategy that was left can still be chosen"
    )

    stranger = coming_in.come_in(place, "user", "link", "follower:f0002")
    for address in (former["Results"], former["Trades (CSV)"], f"/signals/{signal}/{name}"):
        stranger.get(address, 404 if "signals" in address or "performance" in address else 200)
    assert "f0001" not in stranger.get("/orders") + stranger.get("/accounts") + stranger.get(
        "/notifications"
    )

    status = json.loads(shell(place, "status", "--json"))
    assert status["books"]["differ"] == []
    assert place.rows("SELECT count(*) FROM copy WHERE code IS NULL") == [(0,)]


def test_the_audit_says_of_every_deed_who_did_it_and_from_where(place: Place) -> None:
    operator, _ = coming_in.operator(place)
    master = coming_in.come_in(place, "user", "link", "master:alpha")
    follower = coming_in.come_in(place, "user", "link", "follower:f0002")
    found = re.search(r"/studio/strategies/(str_[0-9a-f]+)", master.get("/studio"))
    assert found is not None
    studio = found[0]

    def walk(user: User, page: str, *deeds: tuple[str, dict[str, str]]) -> None:
        for address, fields in deeds:
            user.get(page)
            user.post(address, **fields)

    walk(
        operator,
        "/operate/switches",
        (
            "/operate/switches/on",
            {"scope": "account", "target": "f0002", "level": "entries", "note": "n"},
        ),
        ("/operate/switches/off", {"scope": "account", "target": "f0002"}),
        ("/operate/people/invite", {"role": "follower", "uses": "1", "days": "1"}),
        ("/operate/people/link", {"name": "follower:f0002"}),
        ("/operate/people/role", {"name": "follower:f0002", "role": "master"}),
        ("/operate/accounts/f0002/release", {}),
    )
    follower = coming_in.come_in(place, "user", "link", "follower:f0002")
    invited = place.rows("SELECT id FROM ticket WHERE kind = 'invitation'")[0][0]
    walk(operator, "/operate/people", ("/operate/people/revoke", {"id": invited}))
    walk(
        master,
        studio,
        (f"{studio}/state", {"state": "published"}),
        (f"{studio}/rotate", {}),
        (f"{studio}/revoke", {}),
        (
            f"{studio}/addresses/tradingview",
            {"setting_sell": "close", "only": "all", "days": "30", "pace": "10"},
        ),
        (f"{studio}/close", {}),
    )
    walk(
        follower,
        "/home",
        ("/accounts/f0002/pause", {}),
        ("/accounts/f0002/flatten", {}),
        ("/accounts/f0002/resume", {}),
    )
    for command in (
        ("halt", "entries", "--account", "f0002"),
        ("resume", "entries", "--account", "f0002"),
        ("invite", "create"),
        ("user", "link", "follower:f0002"),
        ("user", "role", "follower:f0002", "master", "--take"),
        ("secret", "rotate", "--strategy", "trend"),
        ("key", "rotate"),
        ("provision", "people.toml"),
    ):
        shell(place, *command)

    me = getpass.getuser()
    rows = place.rows("SELECT by, act, address FROM audit ORDER BY number")
    wrong = [row for row in rows if row[2] != ("shell" if row[0] == me else "127.0.0.1")]
    assert wrong == []
    acts = {(row[1], row[2] == "shell") for row in rows}
    for act in (
        "switched_on",
        "switched_off",
        "invitation_made",
        "sign_in_link_made",
        "webhook_secret_renewed",
    ):
        assert {(act, True), (act, False)} <= acts, act
    for act in (
        "role_given",
        "invitation_revoked",
        "capability_made",
        "old_secrets_revoked",
        "strategy_published",
        "account_disconnected",
    ):
        assert (act, False) in acts, act
    for act in ("role_taken", "root_key_activated", "provisioned"):
        assert (act, True) in acts, act
    shown = operator.get("/operate/audit")
    assert '<td class="from nowrap"><span>127.0.0.1 <span' in shown
    assert "from shell" in shell(place, "audit", "list")
    assert shell(place, "audit", "verify")
