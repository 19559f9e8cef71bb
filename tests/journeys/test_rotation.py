"""A root key rotation without downtime: nobody notices it, every secret opens, the audit verifies.
After a kill it continues, and the old key is removed only when nothing needs it.
"""

import json
import os
import signal
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, cycle
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pyotp
import pytest
import trio
from browser_free import User, close_all
from coming_in import PASSWORD, operator
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, running, until
from many_secrets import open_all, plant

from engine.control import ask_server, call
from engine.domain.errors import RexAlgoError
from engine.settings.config import load_config
from engine.settings.secrets import parse_env

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def closing_browsers() -> Iterator[None]:
    yield
    close_all()


def cli(place: Place, *args: object, code: int | None = 0) -> dict[str, Any]:
    """Run a command, with or without a running server."""
    return dict(json.loads(run_cli(*args, "--json", cwd=place.folder, code=code)))


def refusal(folder: Path, *args: str) -> str:
    """Run a failing command, and return its output."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ENCRYPTION_KEY", "JWT_SECRET")
    }
    told = subprocess.run(
        [sys.executable, "-m", "rexalgo", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
    )
    assert told.returncode == 1, told
    return told.stderr


def kids(folder: Path) -> list[str]:
    """Return the root keys in the .env, the active one first."""
    line = next(
        each
        for each in (folder / ".env").read_text().splitlines()
        if each.startswith("ENCRYPTION_KEY=")
    )
    return [each.partition(":")[0] for each in line.partition("=")[2].split(",")]


def takes_signals(place: Place, body: dict[str, object]) -> None:
    """Prove that the bot's old secret still opens, and that an order is sent with a follower's
    sealed login.
    """
    with httpx.Client(trust_env=False, timeout=20) as client:
        answer = place.bots["trend"].post(client, body)
    assert answer.status_code == 202, answer.text
    assert set(place.settled(answer.json()["signal_id"])) == {"filled"}


def test_a_root_key_is_rotated_while_everything_runs_and_the_old_one_leaves_when_nothing_needs_it(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path / "place")
    place.provision(DECLARATIONS.format(followers=3))
    (old,) = kids(place.folder)
    before = (place.folder / ".env").read_text()
    with running(place):
        user, secret = operator(place)
        takes_signals(place, opening("before"))
        told = cli(place, "key", "rotate")
        assert (told["made"], told["done"], told["old"]) == (True, True, [old])
        assert kids(place.folder) == [told["active"], old]
        assert stat.S_IMODE((place.folder / ".env").stat().st_mode) == 0o600
        assert (
            before.splitlines()[2] == (place.folder / ".env").read_text().splitlines()[2]
        )  # JWT_SECRET
        assert {row[0] for row in place.rows("SELECT key_kid FROM person")} == {told["active"]}
        assert "ops" in user.get("/security")  # the session of before
        takes_signals(place, closing("after"))
        again = place.provision(DECLARATIONS.format(followers=3))
        assert (again["updated"], again["differences"]) == (
            [],
            [],
        )  # declared logins are still recognised
        assert cli(place, "audit", "verify")["broken_at"] is None
        assert "is the active one and stays" in refusal(
            place.folder, "key", "remove", told["active"], "--yes"
        )
        assert cli(place, "key", "remove", old, "--yes")["erased"]
        assert kids(place.folder) == [told["active"]]
        assert (
            before.partition(f"{old}:")[2].partition("\n")[0]
            not in (place.folder / ".env").read_text()
        )
        assert cli(place, "audit", "verify")["broken_at"] is None
        acts = [each["act"] for each in reversed(cli(place, "audit", "list")["audit"])]
        assert acts[-4:] == [
            "root_key_activated",
            "root_key_rewrapped",
            "root_key_disabled",
            "root_key_removed",
        ]
    with running(place):  # with the new key alone
        takes_signals(place, opening("restarted"))
        user.url = place.url
        assert "ops" in user.get("/security")  # still the session of before
        back = User(
            place.url
        )  # and a factor that was sealed before, proven with the code of the coming half minute
        back.post(
            "/sign-in",
            name="ops",
            password=PASSWORD,
            code=pyotp.TOTP(secret).at(datetime.now(UTC) + timedelta(seconds=30)),
        )
        assert "ops" in back.get("/security")
        told = cli(place, "key", "status")
        assert [(each["kid"], each["state"]) for each in told["keys"]] == [
            (kids(place.folder)[0], "active"),
            (old, "removed"),
        ]
    (place.folder / ".env").write_text(before)  # somebody puts the file of before back
    assert f"{old} stands first in ENCRYPTION_KEY and was removed" in refusal(
        place.folder, "key", "rotate"
    )


def test_a_server_that_dies_in_the_midst_of_a_rewrap_goes_on_from_its_cursor(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path / "place")
    place.provision(DECLARATIONS.format(followers=130))
    (old,) = kids(place.folder)
    place.serve()
    config = load_config(place.folder, {})

    async def begin() -> dict[str, Any]:
        await ask_server(config.data_dir, "key_rotate", {})
        return await ask_server(config.data_dir, "key_rewrap", {"batches": 1})

    told = trio.run(begin)
    assert (told["moved"], told["done"], told["left"][old]["data_keys"]) == (100, False, 31)
    place.end(signal.SIGKILL)
    status = cli(place, "key", "status")
    assert (status["rewrap"]["part"], status["rewrap"]["moved"]) == ("data_keys", 100)
    assert status["rewrap"]["cursor"]
    found = [each["what"] for each in cli(place, "doctor", code=None)["findings"]]
    assert any("is not finished: 291 secrets are still under another key" in each for each in found)
    assert (
        "31 wrapped data keys, 130 fingerprints of exchange logins, 130 fingerprints of declared "
        "logins" in refusal(place.folder, "key", "remove", old, "--yes")
    )
    with running(place):
        takes_signals(place, opening("between"))  # both keys are there, and every secret opens
        done = cli(place, "key", "rotate")
        assert (done["made"], done["active"], done["moved"]) == (False, status["active"], 291)
        assert cli(place, "audit", "verify")["broken_at"] is None
    assert cli(place, "key", "remove", old, "--yes")["erased"]  # and without a server
    assert cli(place, "key", "status")["left"] == 0


class Load(Thread):
    """Signals and pages without a pause, whatever happens to the server: what it could not deliver is
    delivered again, and who is sent to the sign-in is counted.
    """

    def __init__(self, place: Place, cookies: list[str]) -> None:
        super().__init__()
        self._place = place
        self._cookies = cycle(cookies)
        self._ends = Event()
        self.taken = self.pages = 0
        self.signed_out: list[str] = []

    def run(self) -> None:
        for number in count():
            if self._ends.is_set():
                return
            body = opening(f"load-{number}") if number % 2 else closing(f"load-{number}")
            while not self._delivered(body) and not self._ends.is_set():
                pass
            self._look(next(self._cookies))

    def _delivered(self, body: dict[str, object]) -> bool:
        try:
            with httpx.Client(trust_env=False, timeout=10) as client:
                answer = self._place.bots["trend"].post(client, body)
        except httpx.TransportError:
            return False
        self.taken += answer.status_code == 202
        return answer.status_code in (200, 202)

    def _look(self, cookie: str) -> None:
        """Open a page in a session; without a password it leads to setting one, never to signing
        in.
        """
        try:
            with httpx.Client(trust_env=False, timeout=10) as client:
                headers = {"cookie": f"rexalgo={cookie}"}
                answer = client.get(f"{self._place.url}/security", headers=headers)
        except httpx.TransportError:
            return
        self.pages += 1
        if not answer.headers.get("location", "").startswith("/security/password"):
            self.signed_out.append(answer.headers.get("location", str(answer.status_code)))

    def end(self) -> None:
        self._ends.set()
        self.join(60)


def test_many_secrets_both_keys_under_load_and_killed_in_the_midst(tmp_path: Path) -> None:
    """REXALGO_SECRETS is how many secrets there are; 10,000 take some minutes."""
    many, followers = int(os.environ.get("REXALGO_SECRETS", "600")), 20
    place = Place(tmp_path / "place")
    place.provision(DECLARATIONS.format(followers=followers))
    cookies = plant(place, many - followers - 1, 50)
    assert open_all(place) == (many, 0)
    (old,) = kids(place.folder)
    config = load_config(place.folder, {})
    place.serve()
    load = Load(place, cookies)
    load.start()
    began = datetime.now(UTC)
    try:
        former = cli(place, "key", "rotate", "jwt")["old"]

        async def begin() -> dict[str, Any]:
            await ask_server(config.data_dir, "key_rotate", {})
            return await ask_server(config.data_dir, "key_rewrap", {"batches": max(1, many // 400)})

        told = trio.run(begin)
        assert not told["done"]
        assert told["moved"] > 0
        place.end(signal.SIGKILL)
        assert open_all(place) == (many, 0)
        place.serve()
        done = cli(place, "key", "rotate")
        assert (done["made"], done["left"]) == (False, {})
        assert cli(place, "key", "remove", old, "--yes")["erased"]
        assert former[0] in refusal(place.folder, "key", "remove", former[0], "--yes")
        place.end(signal.SIGKILL)
        took = datetime.now(UTC) - began
        place.serve()
        looked = load.pages
        until(lambda: load.pages > looked + len(cookies))
    finally:
        load.end()
        if place.process is not None:
            place.end(signal.SIGTERM)
    assert load.signed_out == []
    assert open_all(place) == (many, 0)
    assert kids(place.folder) != [old]
    assert "does not open" not in (place.folder / "log").read_text()
    print(
        f"{many} secrets, 0 failed to open; both keys renewed in {took.total_seconds():.0f} s with "
        f"two kills; {load.taken} signals taken and {load.pages} pages shown meanwhile, 0 signed out"
    )


def test_killed_at_any_boundary_every_secret_opens_and_the_same_command_ends_it(
    tmp_path: Path,
) -> None:
    pattern = Place(tmp_path / "pattern")
    pattern.provision(DECLARATIONS.format(followers=2))
    copies = _killed_everywhere("rotate", pattern.folder, tmp_path / "rotate")
    assert len(copies) > 10
    for number, folder in enumerate(copies):
        _still_opens(folder)
        told = trio.run(_rotate_to_the_end, folder)
        assert told == (len(kids(folder)), 0), number
        assert _acts(folder) == ["provisioned", "root_key_activated", "root_key_rewrapped"], number
        _still_opens(folder)
    (old,) = kids(pattern.folder)
    copies = _killed_everywhere("remove", copies[-1], tmp_path / "remove")
    assert len(copies) > 5
    for number, folder in enumerate(copies):
        _still_opens(folder)
        if asked(folder, "key_status")["keys"][1]["state"] != "removed":
            asked(folder, "key_remove", kid=old)
        assert _acts(folder)[-3:] == [
            "root_key_rewrapped",
            "root_key_disabled",
            "root_key_removed",
        ], number
        assert kids(folder) == [asked(folder, "key_status")["active"]]
        assert [each.name for each in folder.iterdir() if ".env" in each.name] == [
            ".env"
        ]  # and no copy of the old key beside it
        _still_opens(folder)


def session_keys(folder: Path) -> list[str]:
    """Return the values of JWT_SECRET in the .env, the active one first."""
    return parse_env((folder / ".env").read_text())["JWT_SECRET"].split(",")


def test_killed_at_any_boundary_a_leaked_key_is_gone_after_the_next_run(tmp_path: Path) -> None:
    pattern = Place(tmp_path / "pattern")
    pattern.provision(DECLARATIONS.format(followers=2))
    (root,), (jwt,) = kids(pattern.folder), session_keys(pattern.folder)
    copies = _killed_everywhere("leaked-root", pattern.folder, tmp_path / "root")
    assert len(copies) > 12
    for number, folder in enumerate(copies):
        _still_opens(folder)
        made = asked(folder, "key_rotate", leaked=True)
        assert made["made"], number
        trio.run(_rewrap_to_the_end, folder)
        for kid in made["old"]:
            asked(folder, "key_remove", kid=kid)
        assert kids(folder) == [made["active"]] != [root], number
        assert session_keys(folder) == [jwt]
        _still_opens(folder)
    copies = _killed_everywhere("leaked-jwt", pattern.folder, tmp_path / "jwt")
    assert len(copies) > 3
    for number, folder in enumerate(copies):
        asked(folder, "leaked_jwt")
        (active,) = session_keys(folder)
        assert active != jwt, number
        assert asked(folder, "key_status")["sessions"]["keys"][0]["state"] == "active"
        assert asked(folder, "audit_verify")["broken_at"] is None


def test_killed_at_any_boundary_a_rotation_of_the_session_key_adds_one_key(tmp_path: Path) -> None:
    pattern = Place(tmp_path / "pattern")
    pattern.provision(DECLARATIONS.format(followers=1))
    (jwt,) = session_keys(pattern.folder)
    copies = _killed_everywhere("rotate-jwt", pattern.folder, tmp_path / "jwt")
    assert len(copies) > 3
    for number, folder in enumerate(copies):
        if number + 1 < len(copies):  # the last one was complete
            with suppress(RexAlgoError):  # it was complete but for its answer
                asked(folder, "session_key_rotate")
        assert session_keys(folder)[1:] == [jwt], number
        assert _acts(folder).count("session_key_activated") == 1, number


async def _rewrap_to_the_end(folder: Path) -> None:
    while not (await call(load_config(folder, {}), "key_rewrap", {}))["done"]:
        pass


def asked(folder: Path, method: str, **params: object) -> dict[str, Any]:
    """Run a command as the command line does without a server."""
    return trio.run(partial(call, load_config(folder, {}), method, params))


def _killed_everywhere(command: str, folder: Path, target: Path) -> list[Path]:
    """Return copies of an installation, each left by a process that was killed at another boundary;
    the last one completed.
    """
    told = subprocess.run(
        [sys.executable, "-m", "tests.faults.killing_key", command, str(folder), str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return [target / str(number) for number in range(1, int(told.stdout) + 1)]


async def _rotate_to_the_end(folder: Path) -> tuple[int, int]:
    """Complete a rotation, starting one only if none is done; return the expected number of keys,
    and what is left.
    """
    config = load_config(folder, {})
    if len(kids(folder)) == 1:
        await call(config, "key_rotate", {})
    while not (await call(config, "key_rewrap", {}))["done"]:
        pass
    status = await call(config, "key_status", {})
    return len(status["keys"]), status["left"]


def _acts(folder: Path) -> list[str]:
    return [each["act"] for each in reversed(asked(folder, "audit")["audit"])]


def _still_opens(folder: Path) -> None:
    """Prove that every login opens and is recognised, and that the audit verifies: provisioning
    compares each with the sealed one.
    """
    table = tomllib.loads((folder / "people.toml").read_text())
    again = asked(folder, "provision", table=table)
    assert (again["updated"], again["differences"], again["created"]) == ([], [], {})
    assert asked(folder, "audit_verify")["broken_at"] is None
