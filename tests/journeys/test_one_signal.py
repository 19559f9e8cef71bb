"""One signed signal becomes exactly one order per follower: over real sockets, with a real ledger
file, by a real server process.
"""

import json
import resource
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from journey_place import DECLARATIONS, Bot, Place, closing, opening, run_cli, running, until

from rexalgo import SIGNATURE_HEADER, Secret, sign_a


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(
        tmp_path_factory.mktemp("place"),
        settings='[plugin.paper]\nprice_fixed = { BTCUSDT = "65000" }',
    )
    made.provision(DECLARATIONS.format(followers=20))
    with running(made):
        yield made


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(
        trust_env=False, timeout=20, limits=httpx.Limits(max_connections=200)
    ) as made:
        yield made


def test_twenty_parallel_deliveries_are_one_signal(place: Place, client: httpx.Client) -> None:
    bot, body = place.bots["trend"], opening("parallel")
    content, headers = bot.request(body)
    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda _: client.post(bot.url, content=content, headers=headers), range(20))
        )
    assert Counter(each.status_code for each in answers) == {202: 1, 200: 19}
    assert len({each.json()["signal_id"] for each in answers}) == 1
    signal = answers[0].json()["signal_id"]
    assert place.settled(signal) == ["filled"] * 20
    assert len([each for each in place.orders() if not each["reduce_only"]]) == 20

    changed = bot.post(client, opening("parallel", leverage="2"))
    assert changed.status_code == 409
    assert place.rows("SELECT count(*) FROM signal") == [(1,)]

    receipt = client.get(place.url + answers[0].json()["receipt"]).json()
    assert receipt["outcomes"] == {"filled": 20}
    assert receipt["environments"] == ["paper"]

    done = bot.post(client, closing("parallel-close"), dialect="b")
    assert done.status_code == 202
    assert place.settled(done.json()["signal_id"]) == ["filled"] * 20
    assert nets(place) <= {Decimal(0)}


def test_open_then_close_at_once_leaves_no_orphan(place: Place, client: httpx.Client) -> None:
    bot = place.bots["trend"]
    for round_ in range(5):
        first = bot.request(opening(f"orphan-{round_}"))
        before = len(place.orders())
        opened = client.post(bot.url, content=first[0], headers=first[1])
        until(lambda before=before, wanted=round_ * 4: len(place.orders()) >= before + wanted)  # type: ignore[misc]
        closed = bot.post(client, closing(f"orphan-close-{round_}"))
        again = client.post(bot.url, content=first[0], headers=first[1])
        assert [opened.status_code, closed.status_code, again.status_code] == [202, 202, 200]
        assert set(place.settled(opened.json()["signal_id"])) <= {"filled", "skipped.superseded"}
        assert set(place.settled(closed.json()["signal_id"])) <= {
            "filled",
            "skipped.nothing_to_close",
        }
        assert nets(place) <= {Decimal(0)}
        late = bot.post(client, opening(f"late-{round_}", sent_at="2026-01-01T00:00:00Z"))
        assert late.status_code == 202
        assert late.json()["mirrored"] is False
        assert set(place.settled(late.json()["signal_id"])) <= {"expired", "skipped.superseded"}
    assert nets(place) <= {Decimal(0)}


def nets(place: Place) -> set[Decimal]:
    """Return the distinct net quantities over accounts, from the exchange's own record."""
    held: dict[str, Decimal] = {}
    for each in place.orders():
        signed = Decimal(str(each["quantity"])) * (1 if each["side"] == "BUY" else -1)
        held[each["account"]] = held.get(each["account"], Decimal(0)) + signed
    return set(held.values())


def test_bad_input_gets_its_stated_answer_and_nothing_is_reflected(
    place: Place, client: httpx.Client
) -> None:
    bot = place.bots["trend"]
    before = place.rows("SELECT count(*) FROM signal")
    content, headers = bot.request(opening("bad"))
    honest = headers[SIGNATURE_HEADER]
    forged = {**headers, SIGNATURE_HEADER: honest[:-1] + ("0" if honest[-1] != "0" else "1")}
    same = []
    for url, sent in ((bot.url, {}), (bot.url, forged), (bot.url[:-1] + "x", headers)):
        answer = client.post(url, content=content, headers=sent)
        assert answer.status_code == 401
        same.append(answer.content)
    assert len(set(same)) == 1

    mark = "zq9-reflect-me"
    cases: list[tuple[int, bytes]] = [
        (400, b"not json " + mark.encode()),
        (400, b'{"idempotency_key":"a","idempotency_key":"b"}'),
        (400, b'{"a":' * 9 + b"1" + b"}" * 9),
        (400, b'{"x": NaN}'),
        (400, b"\xff\xfe"),
        (422, json.dumps(opening("s", symbol="DOGEUSDT")).encode()),
        (422, json.dumps(opening("s", action=mark)).encode()),
        (422, json.dumps(opening("s", side=None)).encode()),
        (422, json.dumps(opening("s" * 200)).encode()),
        (422, json.dumps({"action": "open", "symbol": "BTCUSDT", "side": "LONG"}).encode()),
        (422, json.dumps(opening("s", leverage="-1")).encode()),
        (422, json.dumps(opening("s", price="1e999")).encode()),
    ]
    for status, raw in cases:
        answer = client.post(bot.url, content=raw, headers=_signed(place, raw))
        assert answer.status_code == status, (raw, answer.text)
        assert mark not in answer.text
    too_large = b'{"idempotency_key":"' + b"x" * 20_000 + b'"}'
    assert (
        client.post(bot.url, content=too_large, headers=_signed(place, too_large)).status_code
        == 413
    )
    assert client.get(bot.url).status_code == 405
    assert place.rows("SELECT count(*) FROM signal") == before


def _signed(place: Place, raw: bytes) -> dict[str, str]:
    return sign_a(place.bots["trend"].secret, raw, datetime.now(UTC))


def test_unsigned_posts_do_not_keep_a_signed_one_out(place: Place, client: httpx.Client) -> None:
    bot = place.bots["trend"]
    content, headers = bot.request(closing("among-strangers"))
    with ThreadPoolExecutor(131) as pool:
        strangers = [pool.submit(client.post, bot.url, content=b"{}") for _ in range(130)]
        signed = pool.submit(client.post, bot.url, content=content, headers=headers)
        assert signed.result().status_code == 202
        assert {each.result().status_code for each in strangers} == {401}
    place.settled(signed.result().json()["signal_id"])


def test_a_full_disk_refuses_and_recovers_without_a_restart(
    place: Place, client: httpx.Client
) -> None:
    bot = place.bots["trend"]
    assert place.process is not None
    pid, orders = place.process.pid, len(place.orders())
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(
        pid, resource.RLIMIT_FSIZE, (1, hard)
    )  # every write beyond the first byte of a file fails, as on a full disk
    try:
        refused = bot.post(client, opening("full"))
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get(f"{place.url}/api/health").status_code == 503
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    assert len(place.orders()) == orders
    taken = bot.post(client, opening("full"))
    assert taken.status_code == 202
    assert place.settled(taken.json()["signal_id"]) == ["filled"] * 20
    assert len(place.orders()) == orders + 20
    place.settled(bot.post(client, closing("full-close")).json()["signal_id"])


def test_halt_holds_at_once_and_exits_go_on(place: Place, client: httpx.Client) -> None:
    bot, folder = place.bots["trend"], place.folder
    opened = bot.post(client, opening("before-halt")).json()["signal_id"]
    assert place.settled(opened) == ["filled"] * 20
    settings = (folder / "rexalgo.toml").read_text()
    (folder / "rexalgo.toml").write_text(f'{settings}\n[log]\nfile = "gone/x.log"\n')
    run_cli("halt", "entries", "--strategy", "trend", "--note", "rollout", cwd=folder)
    run_cli("alert", "list", cwd=folder)
    (folder / "rexalgo.toml").write_text(settings)
    closed = bot.post(client, closing("halted-close"))
    assert place.settled(closed.json()["signal_id"]) == ["filled"] * 20
    halted = bot.post(client, opening("halted"))
    assert halted.json()["mirrored"] is False
    assert place.settled(halted.json()["signal_id"]) == ["skipped.entries_off"] * 20
    told = json.loads(run_cli("why", "halted", "f0007", "--json", cwd=folder))
    assert (told["code"], told["move"], told["setting"]) == (
        "skipped.entries_off",
        "operator",
        "no new entries",
    )
    assert "rollout" in told["sentence"]
    assert "OFF for strategy trend" in run_cli("status", cwd=folder)
    run_cli("resume", "entries", "--strategy", "trend", cwd=folder)
    after = bot.post(client, opening("resumed"))
    assert place.settled(after.json()["signal_id"]) == ["filled"] * 20
    place.settled(bot.post(client, closing("resumed-close")).json()["signal_id"])


def test_signal_send_is_taken_with_both_signatures(place: Place, tmp_path: Path) -> None:
    bot = place.bots["trend"]
    secret = tmp_path / "secret"
    secret.write_text(bot.secret.reveal() + "\n", encoding="utf-8")
    for signature in ("rexalgo", "standard"):
        told = json.loads(
            run_cli(
                "signal",
                "send",
                "--url",
                bot.url,
                "--secret-file",
                secret,
                "--signature",
                signature,
                "--json",
                "-",
                cwd=tmp_path,
                stdin=json.dumps(closing(f"sent-{signature}")),
            )
        )
        assert told["status"] == 202
    wrong = run_cli(
        "signal",
        "send",
        "--url",
        bot.url,
        "--secret",
        "whsec_" + "A" * 43 + "=",
        "-",
        cwd=tmp_path,
        stdin="{}",
        code=1,
    )
    assert wrong == ""


def test_a_rotated_secret_overlaps_and_a_revoked_one_is_refused_at_once(
    place: Place, client: httpx.Client
) -> None:
    bot = place.bots["trend"]
    told = json.loads(
        run_cli("secret", "rotate", "--strategy", "trend", "--json", cwd=place.folder)
    )
    fresh = Bot(bot.url, Secret(told["secret"]))
    assert bot.post(client, closing("old-overlaps")).status_code == 202
    assert fresh.post(client, closing("new-holds")).status_code == 202
    until(
        lambda: (
            place.rows("SELECT count(*) FROM endpoint_secret WHERE last_used_us IS NOT NULL")
            == [(1,)]
        ),
    )
    told = json.loads(
        run_cli(
            "secret", "rotate", "--strategy", "trend", "--revoke-now", "--json", cwd=place.folder
        )
    )
    assert [bool(each["last_used"]) for each in told["old_secrets"]] == [False, True]
    place.bots["trend"] = Bot(bot.url, Secret(told["secret"]))
    assert {
        bot.post(client, closing("revoked")).status_code,
        fresh.post(client, closing("revoked")).status_code,
    } == {401}
    assert place.bots["trend"].post(client, closing("newest")).status_code == 202


def test_a_second_server_and_offline_commands_respect_the_lock(place: Place) -> None:
    run_cli("serve", "--port", "0", cwd=place.folder, code=3)
    found = json.loads(run_cli("doctor", "--json", cwd=place.folder, code=None))["findings"]
    wrong = [each["what"] for each in found if each["level"] == "wrong"]
    assert [each for each in wrong if "trend was refused" not in each] == []
    assert json.loads(run_cli("unknown", "list", "--json", cwd=place.folder)) == {"unknown": []}
    run_cli("why", "last", "nobody", cwd=place.folder, code=4)
    listed = json.loads(run_cli("account", "list", "--json", cwd=place.folder))["accounts"]
    assert [each["name"] for each in listed] == [f"f{number:04}" for number in range(1, 21)]
    shown = json.loads(run_cli("account", "show", "f0003", "--json", cwd=place.folder))
    assert (shown["environment"], shown["unproven"], shown["task"]["running"]) == ("paper", 0, True)
    run_cli("account", "show", "nobody", cwd=place.folder, code=4)
    assert (
        json.loads(run_cli("account", "release", "f0003", "--json", cwd=place.folder))[
            "was_quarantined"
        ]
        is False
    )
    run_cli("halt", "entries", cwd=place.folder, code=2)
