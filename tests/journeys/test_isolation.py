"""One follower that raises, one that hangs, one that is flooded: nobody else is affected, and each
gets a true outcome.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from journey_place import DECLARATIONS, Place, closing, opening, running, until

NOISE = """
[[strategy]]
name = "noise"
master = "alpha"
symbols = ["ETHUSDT"]
leverage = "5"
[[subscription]]
follower = "f0003"
strategy = "noise"
sizing = { mode = "fixed_margin", margin = "10" }
"""
FLOOD = 60


def test_a_raising_a_hanging_and_a_flooded_follower_disturb_nobody(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.provision(DECLARATIONS.format(followers=12) + NOISE)
    ids = dict(place.rows("SELECT name, id FROM account"))
    with (tmp_path / "rexalgo.toml").open("a", encoding="utf-8") as file:
        file.write(
            f'[plugin.paper]\nraise_for = ["{ids["f0001"]}"]\nhang_for = ["{ids["f0002"]}"]\n'
        )
    text = (tmp_path / "rexalgo.toml").read_text(encoding="utf-8")
    (tmp_path / "rexalgo.toml").write_text(
        text.replace("[engine]", "[engine]\nsend_deadline_s = 2"), encoding="utf-8"
    )
    with (
        running(place),
        httpx.Client(trust_env=False, timeout=20) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        noise, trend = place.bots["noise"], place.bots["trend"]
        flood = [
            pool.submit(
                noise.post, client, (opening if n % 2 else closing)(f"n{n}", symbol="ETHUSDT")
            )
            for n in range(FLOOD)
        ]
        opened = trend.post(client, opening("quiet")).json()["signal_id"]
        calm = sorted(set(ids) - {"f0001", "f0002"})
        assert {each.result().status_code for each in flood} == {202}
        assert settled_for(place, opened, calm) == {"filled"}
        closed = trend.post(client, closing("quiet-close")).json()["signal_id"]
        assert settled_for(place, closed, calm) == {"filled"}
        # The two that misbehave were sent one order at most, and never a second one: their fate is
        # looked up.
        sent = "SELECT max(number), count(*) FROM attempt WHERE kind = 'entry' AND account_id = ?"
        for name in ("f0001", "f0002"):
            attempts, rows = place.rows(sent, ids[name])[0]
            assert (attempts or 1, rows <= 1) == (1, True)
        waiting = (
            "SELECT count(*) FROM copy JOIN strategy ON strategy.name = 'noise' JOIN signal ON "
            "signal.number = copy.signal_number"
        )
        assert place.rows(waiting + " AND signal.strategy_id = strategy.id") == [(FLOOD,)]


def settled_for(place: Place, signal_id: str, names: list[str]) -> set[str]:
    """Wait until these followers' copies have an outcome; return the codes."""
    marks = ", ".join("?" * len(names))
    sql = (
        "SELECT copy.code FROM copy JOIN signal ON signal.number = copy.signal_number JOIN "
        "account ON account.id = copy.account_id"
        f" WHERE signal.id = ? AND account.name IN ({marks})"
    )
    until(lambda: all(code for (code,) in place.rows(sql, signal_id, *names)))
    return {str(code) for (code,) in place.rows(sql, signal_id, *names)}
