"""A trader's day in real Chromium: join, watch, go live with limits, see an outcome arrive, read
why, pause, flatten.
"""

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, running
from playwright.sync_api import Browser, expect
from screens import Window, window

PASSWORD = "several calm words in a row"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"))
    made.provision(DECLARATIONS.format(followers=1))
    with running(made):
        yield made


def join(place: Place, shown: Window, name: str) -> None:
    """Join by invitation with a paper account."""
    invited = json.loads(run_cli("invite", "create", "--json", cwd=place.folder))
    shown.open("/" + str(invited["link"]).split("/", 3)[3])
    shown.fill(name=name, balance="5000")
    shown.press("Connect and join")
    shown.fill(password=PASSWORD, again=PASSWORD)
    shown.press("Set password")
    expect(shown.page.get_by_role("button", name="Copy the recovery codes")).to_be_visible()
    codes = shown.page.locator(".codes").text_content() or ""
    assert len(codes.split()) == 10, "copied, each is on a line of its own"
    shown.follow("I have saved them")
    assert shown.path == "/home"


def send(place: Place, body: dict[str, object]) -> str:
    with httpx.Client(trust_env=False, timeout=20) as client:
        answer = place.bots["trend"].post(client, body)
    assert answer.status_code == 202
    return str(answer.json()["signal_id"])


def strategy(place: Place) -> str:
    return str(place.rows("SELECT id FROM strategy WHERE name = 'trend'")[0][0])


def test_a_traders_day(chromium: Browser, place: Place) -> None:
    follow = f"/strategies/{strategy(place)}/follow"
    with window(chromium, place.url) as shown:
        page = shown.page
        join(place, shown, "ada")
        expect(page.locator("main")).to_contain_text("Not copying yet")
        shown.check()
        # watch first: it is what is chosen
        shown.open(follow)
        shown.check()
        assert page.locator("#watch").is_checked()
        page.locator("button[value=agree]").click()
        page.wait_for_url(re.compile("done=watching"))
        shown.open("/home")
        send(place, opening("b-1"))
        expect(page.locator("#last tbody tr")).to_have_count(1)  # it arrived by itself
        expect(page.locator("#last")).to_contain_text("Watch only")
        # live, with limits, after a page that repeats the numbers
        shown.open(follow)
        page.locator("#live").check()
        shown.fill(size="100", open_positions="1", daily_loss="250")
        page.locator("button[value=agree]").click()
        expect(page.locator("h1")).to_have_text("Go live with trend")
        assert "250 USDT" in shown.text()
        shown.check()
        page.get_by_role("button", name="Go live").click()
        page.wait_for_url(re.compile("done=subscribed"))
        shown.open("/home")
        send(place, closing("b-2"))
        send(place, opening("b-3"))
        expect(page.locator("#last tbody tr").first).to_contain_text("Filled")
        shown.check()
        # why was the first one skipped
        page.locator("#last tbody tr").last.locator(".chip-link").click()
        expect(page.locator(".why .chip")).to_have_text("Skipped")
        shown.check()
        shown.open("/positions")
        expect(page.locator("#rows")).to_contain_text("BTCUSDT")
        shown.check()
        price_is_readable(place, shown)
        what_a_reader_did_stays(place, shown)
        for path in (
            *("/signals", "/orders?find=btc&sort=oldest", "/trades", "/funding?from=2026-01-01"),
            "/calendar",
            *("/notifications", "/security", "/studio"),
        ):
            shown.open(path)
            shown.check()
        # one position is closed from home, and the strategy goes on
        shown.open("/home?range=1D")
        page.locator("#positions .act-cell a").click()
        expect(page.locator("h1")).to_contain_text("Close BTCUSDT")
        shown.check()
        shown.press("Close this position")
        expect(page.locator("#rows")).to_contain_text("Nothing is open")
        send(place, opening("b-4"))
        expect(page.locator("#rows")).to_contain_text("BTCUSDT")
        # pause asks nothing, and says what happens to what is open
        shown.open("/home")
        shown.press("Pause")
        expect(page.locator("main")).to_contain_text("Positions stay")
        expect(page.locator("main")).to_contain_text("Entries paused")
        # flatten ends flat, seen without reloading
        shown.follow("Flatten")
        shown.check()
        shown.press("Close everything the engine opened")
        expect(page.locator("#flat")).to_contain_text(
            "Flat: nothing that the engine opened is left"
        )
        shown.open("/positions")
        expect(page.locator("#rows")).to_contain_text("Nothing is open")
        charts_are_readable(shown, strategy(place))


def price_is_readable(place: Place, shown: Window) -> None:
    """Check the price chart of the one open position: read by keys, it stays while its page renews."""
    page = shown.page
    page.locator("#rows .lead-cell a").click()
    chart = page.locator("#chart svg.chart")
    expect(chart).to_have_count(1)
    shown.check()
    chart.focus()
    page.keyboard.press("Home")
    expect(page.locator("#chart .chart-value")).to_contain_text("open ")
    page.evaluate("document.querySelector('#chart').dataset.kept = 'yes'")
    stop = {"idempotency_key": "b-p", "action": "set_protection", "stop_loss": "1234"}
    send(place, {**stop, "symbol": "BTCUSDT"})
    expect(page.locator("#position")).to_contain_text("1,234")
    expect(page.locator("#chart[data-kept]")).to_have_count(1)


def what_a_reader_did_stays(place: Place, shown: Window) -> None:
    """Check that a page that renews itself keeps what is folded out and filled in, replaces a part
    only where more than its tokens changed, and asks again if it got no answer.
    """
    page = shown.page
    stop = {"action": "set_protection", "symbol": "BTCUSDT"}
    shown.open(f"/strategies/{strategy(place)}")
    page.locator("#mine details summary").first.click()
    page.evaluate(
        "document.addEventListener('parts-renewed', () => document.body.dataset.renewed = 'yes')"
    )
    for change, stays in (
        ("", True),
        ("mine.append('no longer so')", False),
        ("mine.append(Object.assign(document.createElement('input'), {value: 'typed'}))", True),
    ):
        page.evaluate(
            "delete document.body.dataset.renewed; const mine = document.querySelector('#mine'); "
            f"mine.dataset.kept = 'yes'; {change}"
        )
        number = 2000 + len(change)
        send(place, {**stop, "idempotency_key": f"b-{number}", "stop_loss": str(number)})
        expect(page.locator("body[data-renewed]")).to_have_count(1)
        expect(page.locator("#mine[data-kept]")).to_have_count(1 if stays else 0)
        expect(page.locator("#mine details[open]")).to_have_count(1)
    page.evaluate(
        "() => { delete document.body.dataset.renewed; const real = window.fetch; window.fetch = () => "
        "{ window.fetch = real; return Promise.reject(new TypeError('away')); }; }"
    )
    send(place, {**stop, "idempotency_key": "b-3000", "stop_loss": "3000"})
    expect(page.locator("body[data-renewed]")).to_have_count(1)  # it asks again


def charts_are_readable(shown: Window, identifier: str) -> None:
    """Check the charts: text of one size at every width, values by arrow keys, a text for people
    who do not see them.
    """
    page = shown.page
    shown.open("/performance")
    expect(page.locator("svg.chart")).to_have_count(
        4
    )  # the books follow within seconds, and the page with them
    chart = page.locator("#curve svg.chart")
    value = page.locator("#curve .chart-value")
    assert re.match(
        r"From 0\.0+ USDT to .* USDT; lowest .* USDT, highest ",
        chart.locator("desc").text_content() or "",
    )
    chart.focus()  # from here on the page leaves it alone
    resting = value.inner_text()
    page.keyboard.press("Home")
    expect(value).to_contain_text(re.compile(r"0\.0+ USDT"))
    expect(page.locator("#curve .cursor")).to_have_attribute("visibility", "visible")
    page.keyboard.press("End")
    expect(value).to_have_text(resting)
    for width in (390, 700, 1280, 1900):
        page.set_viewport_size({"width": width, "height": 900})
        heights = page.evaluate(
            "[...document.querySelectorAll('svg.chart .axis')].map(e => "
            "Math.round(e.getBoundingClientRect().height))"
        )
        shown_ones = {
            each for each in heights if each
        }  # what is minor is not shown where there is little room
        assert shown_ones <= set(range(10, 16)), (width, heights)
        shown.check()
    page.set_viewport_size({"width": 1280, "height": 860})
    page.locator("#trades tbody a").first.click()
    expect(page.locator("h1")).to_contain_text("BTCUSDT")
    expect(page.locator("svg.chart")).to_have_count(1)
    shown.check()
    shown.open("/strategies?view=table&days=all&sort=win")
    expect(page.locator("th[aria-sort]")).to_have_text("Win rate")
    expect(page.locator("svg.spark")).to_have_count(1)
    shown.check()
    shown.open(f"/strategies/{identifier}")
    expect(page.locator("svg.chart")).to_have_count(2)
    shown.check()


def test_an_account_is_looked_at_and_disconnected_and_its_owner_comes_back_with_a_password(
    chromium: Browser, place: Place
) -> None:
    with window(chromium, place.url, dark=True) as shown:
        page = shown.page
        join(place, shown, "dana")
        shown.open("/accounts")
        shown.check()
        shown.follow("dana")
        shown.press("Check now")
        expect(page.locator("#health")).to_contain_text("the simulated exchange answers")
        shown.check()
        shown.open("/accounts/connect")
        shown.check()
        shown.open("/performance")
        shown.check()
        for view in ("cards", "table"):
            shown.open(f"/strategies?view={view}&days=all")
            shown.check()
        shown.open(f"/strategies/{strategy(place)}")
        shown.check()
        shown.open("/accounts/dana/disconnect")
        shown.check()
        shown.press("Disconnect")
        expect(page.locator("main")).to_contain_text("The paper account is disconnected")
        page.locator(".person summary").click()
        shown.press("Sign out")
        shown.open("/sign-in")
        shown.fill(name="dana", password=PASSWORD)
        shown.press("Sign in")
        expect(page.locator("main")).to_contain_text("No account is connected")
    assert place.rows("SELECT count(*) FROM account WHERE name = 'dana'") == [(0,)]


def test_what_does_not_fit_is_said_beside_its_field_and_nothing_typed_is_lost(
    chromium: Browser, place: Place
) -> None:
    with window(chromium, place.url, size="phone", dark=True) as shown:
        join(place, shown, "bea")
        shown.open(f"/strategies/{strategy(place)}/follow")
        shown.check()
        meaning = shown.page.locator("#meaning")
        shown.fill(size="200", open_positions="1")  # said as it is typed
        expect(meaning).to_contain_text(re.compile(r"One entry: (19\d|200)\.\d\d USDT of margin"))
        shown.fill(size="lots")
        expect(meaning).to_contain_text("Order size: expected")
        shown.check()
        shown.fill(size="minus one", leverage="0", daily_loss="lots", open_positions="many")
        shown.page.locator("button[value=agree]").click()
        expect(shown.page.locator(".field-error")).to_have_count(4)
        assert shown.page.locator("[name=size]").input_value() == "minus one"
        assert shown.page.locator("[name=daily_loss]").input_value() == "lots"
        shown.said.clear()  # the browser itself notes the 422
        shown.check()
        shown.fill(size="100", leverage="5", daily_loss="", open_positions="")
        shown.page.locator("button[value=preview]").click()
        expect(shown.page.locator("#preview")).to_contain_text("BTCUSDT")
        shown.check()
        shown.open(f"/strategies/{strategy(place)}/follow?account=bea#daily_loss")
        top, label = (
            shown.page.locator(each).bounding_box()
            for each in (".site-top", "label[for=daily_loss]")
        )
        assert top
        assert label
        assert label["y"] >= top["y"] + top["height"], "the header hides what the field is called"


def test_what_is_another_persons_is_not_there(chromium: Browser, place: Place) -> None:
    with window(chromium, place.url) as shown:
        join(place, shown, "cleo")
        for path in (
            "/accounts/f0001/flatten",
            f"/signals/{place.rows('SELECT id FROM signal LIMIT 1')[0][0]}/f0001",
        ):
            answer = shown.page.goto(place.url + path)
            assert answer is not None
            assert answer.status == 404, path
        shown.said.clear()  # the browser itself notes each 404
