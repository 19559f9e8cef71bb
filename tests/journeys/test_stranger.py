"""A package outside this repository adds an exchange, a webhook source and a stream source.

It is installed into a separate environment, listed and enabled, and a signal from each source is
copied on its exchange.
"""

import json
import re
import site
import subprocess
import sys
import venv
from html import unescape
from pathlib import Path

import httpx
import pytest
from browser_free import close_all
from coming_in import come_in
from journey_place import Place, running

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "stranger"
version = "0.3.0"
[project.entry-points."rexalgo.plugins"]
stranger = "stranger"
"""
SOURCE = Path(__file__).with_name("stranger_plugin.py")
PEOPLE = """
[[master]]
name = "alpha"
[[strategy]]
name = "hooked"
master = "alpha"
source = "stranger_hook"
symbols = ["TOYUSDT"]
leverage = "3"
[[strategy]]
name = "ticking"
master = "alpha"
kind = "algo"
source = "stranger_candles"
params = { after = 1 }
symbols = ["TOYUSDT"]
leverage = "3"
[[follower]]
name = "on-hook"
exchange = "stranger_toy"
secret = "one"
strategy = "hooked"
sizing = { mode = "fixed_notional", notional = "100" }
[[follower]]
name = "on-candles"
exchange = "stranger_toy"
secret = "two"
strategy = "ticking"
sizing = { mode = "fixed_notional", notional = "50" }
"""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Create a separate environment that sees this checkout, and install the package into it."""
    package = tmp_path / "package"
    (package / "stranger").mkdir(parents=True)
    (package / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (package / "stranger" / "__init__.py").write_text(
        SOURCE.read_text(encoding="utf-8"), encoding="utf-8"
    )
    home = tmp_path / "env"
    venv.create(home, symlinks=True)
    libraries = next(home.glob("lib/python*/site-packages"))
    inherited = "".join(
        f"import site; site.addsitedir({each!r})\n" for each in site.getsitepackages()
    )
    (libraries / "inherited.pth").write_text(inherited, encoding="utf-8")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "--python",
            str(home / "bin" / "python"),
            "install",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            str(package),
        ],
        check=True,
        capture_output=True,
        timeout=180,
    )
    return home / "bin" / "python"


def address_of_its_own(place: Place) -> str:
    """Make an address for the stranger's source in the studio, as a master does."""
    master = come_in(place, "user", "link", "master:alpha")
    try:
        strategy = place.rows("SELECT id FROM strategy WHERE name = 'hooked'")[0][0]
        page = f"/studio/strategies/{strategy}/addresses/stranger_doorstep"
        assert "opens long" in master.get(page)
        shown = master.post(page, setting_down="turn", only="all", days="30")
        assert "turns short; entries and closes" in shown
    finally:
        close_all()
    address = re.search(r'id="url">([^<]+)<', shown)
    assert address is not None
    return place.url + "/hooks" + unescape(address[1]).partition("/hooks")[2]


def test_a_package_from_outside_is_listed_enabled_and_copies_from_each_of_its_sources(
    scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import journey_place

    monkeypatch.setattr(journey_place, "REXALGO", [str(scratch), "-m", "rexalgo"])
    monkeypatch.chdir(tmp_path)
    place = Place(tmp_path / "place")
    listed = json.loads(journey_place.run_cli("plugin", "list", "--json", cwd=place.folder))[
        "plugins"
    ]
    assert {each["name"]: (each["distribution"], each["enabled"]) for each in listed}[
        "stranger"
    ] == ("stranger", False)
    journey_place.run_cli("plugin", "enable", "stranger", cwd=place.folder)
    shown = journey_place.run_cli("plugin", "show", "stranger", cwd=place.folder)
    assert all(
        each in shown for each in ("exchange stranger_toy", "stranger_hook", "stranger_candles")
    )
    told = place.provision(PEOPLE)
    urls = {each["name"]: each["webhook_url"] for each in told["strategies"]}
    assert urls["ticking"] is None
    with running(place), httpx.Client(trust_env=False, timeout=20) as client:
        answer = client.post(
            place.bots["hooked"].url,
            content=b"BUY TOYUSDT k1",
            headers={"x-stranger": place.bots["hooked"].secret.reveal()},
        )
        assert answer.status_code == 202
        assert place.settled(answer.json()["signal_id"]) == ["filled"]
        assert (
            client.post(
                place.bots["hooked"].url, content=b"BUY TOYUSDT k1", headers={"x-stranger": "wrong"}
            ).status_code
            == 401
        )
        url = address_of_its_own(place)
        for word, action, code in (("up a", "open", "skipped"), ("down b", "reverse", "filled")):
            told = client.post(url, content=word.encode())
            assert told.status_code == 202, told.text
            signal = told.json()["signal_id"]
            assert [each.partition(".")[0] for each in place.settled(signal)] == [code]
            said = "SELECT json_extract(draft, '$.action') FROM signal WHERE id = ?"
            assert place.rows(said, signal) == [(action,)]
        assert client.post(url[:-1] + "-", content=b"down c").status_code == 401
        refused = client.post(url, content=b"sideways c")
        assert (refused.status_code, refused.json()["expected"]) == (400, "up ID")
        emitted = "SELECT signal.id FROM signal WHERE origin LIKE 'stream:stranger_candles:%'"
        journey_place.until(lambda: len(place.rows(emitted)) == 1)
        signal = str(place.rows(emitted)[0][0])
        assert place.settled(signal) == ["filled"]
        why = json.loads(
            journey_place.run_cli("why", signal, "on-candles", "--json", cwd=place.folder)
        )
        assert (why["code"], why["environment"], why["strategy"]) == (
            "filled",
            "simulated",
            "ticking",
        )
    orders = (
        (place.folder / "data" / "plugins" / "stranger" / "orders")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    assert sorted(each.split()[0] for each in orders) == ["one", "one", "one", "two"]
