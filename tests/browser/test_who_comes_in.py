"""Who comes in and who is out, in real Chromium with its virtual authenticator, against a real server.

A passkey is added, used alone and beside a password, copied, relayed from elsewhere, replayed, lost and
recovered. An operator suspends a person, whose exits go on.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from urllib.parse import parse_qs

import httpx
import pytest
from authenticator import Authenticator, authenticator
from coming_in import PASSWORD, link
from journey_place import DECLARATIONS, Place, closing, opening, reserved_port, run_cli, running
from playwright.sync_api import Browser, expect
from screens import Window, window


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    held = reserved_port()  # the place must know its own address before it serves
    port = held.getsockname()[1]
    folder = tmp_path_factory.mktemp("place")
    made = Place(folder, port=port)
    toml = folder / "rexalgo.toml"
    text = toml.read_text()
    assert 'public_url = ""' in text
    toml.write_text(text.replace('public_url = ""', f'public_url = "http://localhost:{port}"'))
    made.provision(DECLARATIONS.format(followers=1))
    held.close()
    with running(made):
        made.url = f"http://localhost:{port}"
        yield made


def come_in(place: Place, shown: Window, *command: str) -> list[str]:
    """Come in by a one-time link and set a password; return the recovery codes."""
    shown.open(link(place, *command))
    shown.press("Sign in")
    shown.fill(password=PASSWORD, again=PASSWORD)
    shown.press("Set password")
    codes = re.findall(r"[a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{4}", shown.text())
    assert len(codes) == 10
    return codes


def add_passkey(shown: Window, name: str = "Phone") -> Authenticator:
    """Plug an authenticator in and add a passkey, beginning at a page with the button for it."""
    device = authenticator(shown.page)
    shown.fill(name=name)
    shown.press("Make the passkey")
    expect(shown.page.locator("main")).to_contain_text("Your passkey is added")
    return device


def sign_out(shown: Window) -> None:
    """Sign out by the person's menu, and open the form to sign in."""
    shown.page.locator("details.person summary").click()
    shown.press("Sign out")
    shown.open("/sign-in")


def passkey_answer(shown: Window, form: str) -> str:
    """Let the page that is open sign a challenge of the place for a form, whatever its origin is."""
    asked = httpx.get(f"{shown.url}/sign-in/passkey/to-sign", params={"form": form}).json()
    signed: str = shown.page.evaluate(SIGN, asked)
    return signed


SIGN = """async (asked) => {
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  const publicKey = { ...asked, challenge: bytes(asked.challenge) };
  const made = await navigator.credentials.get({ publicKey });
  const response = {};
  for (const part of ["clientDataJSON", "authenticatorData", "signature", "userHandle"]) response[part] = text(made.response[part]);
  return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response });
}"""


def send(place: Place, **form: str) -> httpx.Response:
    """Send the form of a sign-in with a passkey."""
    return httpx.post(f"{place.url}/sign-in/passkey", data=form, headers={"Origin": place.url})


def lose_freshness(place: Place) -> None:
    """Let the factor that was shown last be long ago: nobody waits five minutes."""
    with sqlite3.connect(place.folder / "data" / "ledger.sqlite3", timeout=10) as db:
        db.execute("UPDATE session SET confirmed_us = 0")
    db.close()


def test_a_passkey_is_the_only_second_factor_of_an_operator_until_it_is_copied_and_lost(
    chromium: Browser, place: Place
) -> None:
    with window(chromium, place.url) as shown:
        page, main = shown.page, shown.page.locator("main")
        codes = come_in(place, shown, "operator", "create", "ops")
        shown.follow("I have saved them")
        shown.press("Add a passkey instead")
        shown.check()
        device = add_passkey(shown)
        shown.check()
        sign_out(shown)

        # the password alone is not enough, with the passkey it is
        shown.fill(name="ops", password=PASSWORD)
        shown.press("Sign in")
        expect(main).to_contain_text("is wrong")
        shown.check()
        shown.fill(name="ops", password=PASSWORD)
        shown.press("Use a passkey instead of a code")
        assert shown.path == "/operate"

        # what raises risk asks for it again
        lose_freshness(place)
        shown.open("/security")
        shown.press("Add a passkey")
        assert shown.path == "/confirm"
        expect(main).to_contain_text("Confirm that it is you")
        shown.check()
        shown.press("Go on")
        assert shown.path == "/security/passkeys/new"
        sign_out(shown)

        # alone it signs in, if it knows its person; what it signed holds once
        device.verify(False)
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(main).to_contain_text("Nothing was signed")
        device.verify(True)
        with page.expect_request(lambda each: each.url.endswith("/sign-in/passkey")) as sent:
            shown.press("Sign in with a passkey")
        assert shown.path == "/operate"
        body = {name: value[0] for name, value in parse_qs(sent.value.post_data).items()}
        assert send(place, **body).status_code == 422
        shown.open("/security")
        expect(page.locator("tr", has_text="Phone")).to_contain_text("In use")
        sign_out(shown)

        # signed for a form, it holds for this form and this origin only
        signed = passkey_answer(shown, "this-form")
        assert send(place, passkey=signed, once="another-form").status_code == 422
        signed = passkey_answer(shown, "this-form")
        assert send(place, passkey=signed, once="this-form").status_code == 303
        page.route("http://localhost:1/*", lambda route: route.fulfill(body="<h1>Elsewhere</h1>"))
        page.goto("http://localhost:1/")
        signed = passkey_answer(shown, "this-form")
        assert send(place, passkey=signed, once="this-form").status_code == 422
        page.goto(place.url.replace("localhost", "127.0.0.1") + "/sign-in")
        expect(main).to_contain_text(f"Passkeys of this installation work at {place.url} only")

        # a copy whose counter goes back is refused, and so is the other one from then on
        shown.open("/sign-in")
        [passkey] = device.passkeys
        device.hold({**passkey, "signCount": 1})
        shown.press("Sign in with a passkey")
        expect(main).to_contain_text("is wrong")
        device.hold(passkey)
        shown.press("Sign in with a passkey")
        expect(main).to_contain_text("is wrong")

        # lost: a recovery code signs in, and the last second factor leaves after another is there
        device.lose()
        shown.follow("Use a recovery code")
        shown.fill(name="ops", code=codes[0])
        shown.press("Sign in")
        assert shown.path == "/security/password"
        shown.open("/security")
        expect(page.locator("tr", has_text="Phone")).to_contain_text("somebody may have a copy")
        shown.check()
        shown.press("Remove")
        expect(main).to_contain_text("set up another passkey or app first")
        shown.open("/security")
        shown.press("Add a passkey")
        shown.fill(name="Key")
        shown.press("Make the passkey")
        expect(main).to_contain_text("Your passkey is added")
        with page.expect_navigation():
            page.locator("tr", has_text="Phone").get_by_role("button", name="Remove").click()
        expect(page.locator("tr", has_text="Phone")).to_have_count(0)
        sign_out(shown)
        shown.press("Sign in with a passkey")
        assert shown.path == "/operate"
        refused = [each for each in shown.said if "status of 422" in each]
        assert len(refused) == 4
        shown.said[:] = [each for each in shown.said if each not in refused]

    acts = [each[0] for each in place.rows("SELECT act FROM audit WHERE act LIKE 'passkey%'")]
    assert acts == ["passkey_added", "passkey_copied", "passkey_added", "passkey_removed"]
    assert json.loads(run_cli("audit", "verify", "--json", cwd=place.folder))["broken_at"] is None


def outcome(place: Place, body: dict[str, object]) -> list[str]:
    """Send a signal; return how its copies ended."""
    with httpx.Client(trust_env=False, timeout=20) as client:
        answer = place.bots["trend"].post(client, body)
    assert answer.status_code == 202, answer.text
    return place.settled(str(answer.json()["signal_id"]))


def test_an_operator_suspends_a_person_whose_exits_go_on(chromium: Browser, place: Place) -> None:
    with window(chromium, place.url) as ops, window(chromium, place.url, size="phone") as person:
        codes = come_in(place, person, "user", "link", "follower:f0001")
        come_in(place, ops, "operator", "create", "ops-who-suspends")
        ops.follow("I have saved them")
        ops.press("Add a passkey instead")
        add_passkey(ops)
        assert outcome(place, opening("in")) == ["filled"]

        ops.open("/operate/people/follower:f0001")
        expect(ops.page.locator("#sessions")).to_contain_text("Chrome on Linux")
        ops.fill(note="their phone was stolen")
        ops.press("Suspend")
        expect(ops.page.locator("main")).to_contain_text("their phone was stolen")
        ops.check()

        person.page.goto(place.url + "/home")
        assert person.path == "/sign-in"
        person.fill(name="f0001", password=PASSWORD)
        person.press("Sign in")
        expect(person.page.locator("main")).to_contain_text("is wrong")
        person.follow("Use a recovery code")
        person.fill(name="f0001", code=codes[0])
        person.press("Sign in")
        expect(person.page.locator("main")).to_contain_text("is wrong")
        assert outcome(place, closing("exit")) == ["filled"]
        assert outcome(place, opening("while-out")) == ["skipped.entries_off"]

        ops.press("End the suspension")
        person.open("/sign-in")
        person.fill(name="f0001", password=PASSWORD)
        person.press("Sign in")
        assert person.path == "/home"
        assert outcome(place, opening("in-again")) == ["filled"]
        refused = [each for each in person.said if "status of 422" in each]
        assert len(refused) == 2
        person.said[:] = [each for each in person.said if each not in refused]
