"""A start reads for all accounts at once what it can: each account adds a bounded number of
statements, and none of them asks what nobody needs.
"""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, Final

import apsw
import pytest
import trio

import engine.ledger
from engine.keys.vault import new_root_key
from engine.run import run_engine
from engine.settings.config import load_config

FEW: Final = 2
MANY: Final = 6
STATEMENTS_MAX: Final = 20
"""Of one account that has nothing open: its login (2), equity (1), whether it is frozen (1), what is
unsettled (2), held (2), its books (9), its history (2), its agreements (1).
"""
SETTINGS: Final = """
[plugins]
enabled = ["paper", "signed_webhook", "gcra", "log"]
"""
PEOPLE: Final = """
[[master]]
name = "alpha"
[[strategy]]
name = "trend"
master = "alpha"
kind = "copy_trading"
symbols = ["BTCUSDT"]
leverage = "5"
[[follower]]
name = "f{n:05}"
count = COUNT
exchange = "paper"
secret = "paper-{n:05}"
strategy = "trend"
sizing = { mode = "fixed_margin", margin = "50" }
"""

_open_reader: Final = engine.ledger.open_reader


async def start(folder: Path, key: str, people: str = "") -> None:
    """Run a place until every account was read, checked and compared; first add people."""
    async with run_engine(load_config(folder, {"ENCRYPTION_KEY": key})) as running:
        if people:
            table = tomllib.loads(people)
            await running.commands.run("provision", {"table": table, "file": "people.toml"})
        live = running.monitor._condition._account_tasks  # type: ignore[attr-defined]
        with trio.fail_after(60):
            for each in live.tasks():
                await each.account.history.looked.wait()
            while sum(live.checks().values()) < len(live.tasks()):  # noqa: ASYNC110 - no event
                await trio.sleep(0.01)
            await trio.testing.wait_all_tasks_blocked(0.05)


async def statements(folder: Path, followers: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what a second start asks with that many followers."""
    folder.mkdir()  # noqa: ASYNC240 - nothing else runs yet
    (folder / "rexalgo.toml").write_text(SETTINGS)
    key, asked = new_root_key(), Counter[str]()
    await start(folder, key, PEOPLE.replace("COUNT", str(followers)))

    def listening(path: str) -> apsw.Connection:
        db = _open_reader(path)

        def note(event: Any) -> None:
            asked[event["sql"]] += 1

        db.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)
        return db

    with monkeypatch.context() as patched:
        patched.setattr(engine.ledger, "open_reader", listening)
        await start(folder, key)
    return asked


async def test_each_account_adds_a_bounded_number_of_statements_to_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = await statements(tmp_path / "few", FEW, monkeypatch)
    many = await statements(tmp_path / "many", MANY, monkeypatch)
    # The watches of the place ask by time, so their counts differ by a few between two starts.
    more = {text: many[text] - few[text] for text in many}
    each = {text: round(count / (MANY - FEW)) for text, count in more.items()}
    told = [f"{count} {text[:200]}" for text, count in each.items() if count]
    assert 10 < sum(each.values()) <= STATEMENTS_MAX, "\n".join(told)


async def test_a_start_knows_the_channels_of_the_configuration_and_forgets_the_others(
    tmp_path: Path,
) -> None:
    key = new_root_key()
    (tmp_path / "rexalgo.toml").write_text(SETTINGS)
    await start(tmp_path, key)
    db = apsw.Connection(str(load_config(tmp_path, {}).ledger.path))
    db.execute(
        "INSERT INTO channel (name, told) VALUES ('former', 0);"
        "INSERT INTO event (at_us, kind, subject, data) VALUES (0, 'alert', 'f', '{}');"
        "INSERT INTO alert_untold SELECT 'former', max(sequence) FROM event"
    )
    await start(tmp_path, key)
    channels = {name for (name,) in db.execute("SELECT name FROM channel")}
    assert channels == {"each person", "log"}
    assert db.execute("SELECT count(*) FROM alert_untold").fetchall() == [(0,)]
    db.close()
