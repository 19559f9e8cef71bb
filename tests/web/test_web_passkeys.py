"""The pages of passkeys, in one process and with a web process of its own: added, used to sign in and
to confirm, and reset by an operator.
"""

from datetime import timedelta
from pathlib import Path

import pytest
from web_place import PASSWORD, SETTINGS, Browser, web_place

from engine.domain.person import Role
from tests.soft_authenticator import SoftAuthenticator

NAMED = SETTINGS + 'public_url = "https://copy.example.org"\n'


async def asked(browser: Browser, path: str, status: int = 200) -> str:
    """Return what a browser is asked to sign, as the script of the page asks for it."""
    answer = await browser.client.get(path)
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["cache-control"] == "no-store"
    return str(await answer.get_data(as_text=True))


@pytest.mark.parametrize("two_roles", [False, True])
async def test_a_passkey_is_added_and_used_and_reset(tmp_path: Path, two_roles: bool) -> None:
    async with web_place(tmp_path, NAMED, two_roles=two_roles) as place:
        ada, device = await place.person("ada"), SoftAuthenticator()
        await ada.get("/security")
        await ada.post("/security/passkeys")
        assert ada.path == "/security/passkeys/new"
        made = device.create(await asked(ada, "/security/passkeys/to-add"))
        told = await ada.post("/security/passkeys/new", 422, name="", credential=made)
        assert "expected 1 to 40 visible characters" in told
        made = device.create(await asked(ada, "/security/passkeys/to-add"))
        await ada.post("/security/passkeys/new", name="Phone", credential=made)
        assert "Phone" in ada.words

        await ada.post("/sign-out")
        await ada.get("/sign-in")
        form = ada.hidden("/sign-in/passkey")["once"]
        signed = device.sign(await asked(ada, f"/sign-in/passkey/to-sign?form={form}"))
        await ada.post("/sign-in/passkey", passkey=signed)
        assert ada.path == "/home", ada.words

        place.clock.passed += timedelta(minutes=6)
        await ada.get("/security")
        await ada.post("/security/passkeys")
        assert ada.path == "/confirm"
        await asked(ada, "/security/passkeys/to-add", 303)
        wrong = device.sign(await asked(ada, f"/sign-in/passkey/to-sign?form={form}"))
        told = await ada.post("/security/passkeys", 422, passkey=wrong)
        assert "Password, code or passkey is wrong" in told
        signed = device.sign(await asked(ada, "/security/passkeys/to-confirm"))
        await ada.post("/security/passkeys", passkey=signed)
        assert ada.path == "/security/passkeys/new"

        ops = await place.person("ops", Role.OPERATOR)
        await ops.get("/operate/people")
        assert "password and second factor, or 1 passkey" in ops.words
        await ops.post("/operate/people/reset-factors", name="ada")
        assert "Their password alone signs them in" in ops.words
        await ops.post("/operate/people/reset-factors", 422, bare=True, csrf=ops.csrf, name="ops")
        await ada.get("/security")
        assert ada.path == "/sign-in"
        await ada.post("/sign-in", name="ada", password=PASSWORD)
        assert ada.path == "/security"
        assert "Phone" not in ada.words
        audit = await place.engine.commands.run("audit", {"search": "second_factors_reset"})
        data = '{"app":false,"passkeys":1,"sessions_ended":1}'
        assert [each["data"] for each in audit["audit"]] == [data]


async def test_a_place_without_a_name_offers_no_passkeys_and_says_why(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        ada = await place.person("ada")
        await ada.get("/security")
        assert "this installation needs an https address with a name" in ada.words
        assert "Add a passkey" not in ada.words
        await ada.get("/security/passkeys/new")
        assert "a browser makes them only for an https address with a name" in ada.words
        for path in ("/security/passkeys/to-add", "/sign-in/passkey/to-sign"):
            await asked(ada, path, 404)
        await ada.post("/sign-out")
        await ada.get("/sign-in")
        assert "passkey" not in ada.text
