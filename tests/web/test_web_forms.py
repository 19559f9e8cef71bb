"""Every form of the place, from the table of routes: it has a page that answers it, no secret of it
is shown again, and whatever is typed into it is taken or refused beside its field, with nothing half
done and nothing lost.
"""

import re
from datetime import timedelta
from pathlib import Path

from web_place import PASSWORD, web_place

from web.app import PAGES
from web.routes import Who

FORMS = [route for route in PAGES if route.method == "POST"]
SECRETS = {"password", "again", "factor", "passkey", "code", "csrf", "secret"}


def test_every_form_and_every_button_has_a_page_that_whoever_may_send_it_may_see() -> None:
    pages = {route.address: route.who for route in PAGES if route.method == "GET"}
    for route in FORMS:
        assert route.page in pages, f"{route.address}: no page has this form"
        assert pages[route.page] in (route.who, Who.SIGNED_IN, Who.ANYONE), route.address
        given = {*re.findall("<([a-z]+)>", route.address)}
        if not callable(route.keeps):
            given |= {*route.keeps}
            assert not SECRETS & {*route.keeps}, route.address
        assert {*re.findall("<([a-z]+)>", route.page)} <= given, route.address


async def test_no_secret_is_shown_again_where_a_factor_is_missing_or_wrong(
    tmp_path: Path,
) -> None:
    typed = {
        "/accounts/bob-2/key": {"secret": "typed-key"},
        "/security/password": {"password": "typed-password", "again": "typed-password"},
        "/security/second-factor": {"code": "135791"},
    }
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/accounts/connect?exchange=paper")
        await bob.post("/accounts/connect", exchange="paper", balance="50", factor=PASSWORD)
        await place.context.ledger.write(
            lambda db: db.execute(
                "UPDATE account SET environment = 'simulated' WHERE name = 'bob-2'"
            )
        )
        place.clock.passed += timedelta(minutes=6)
        for page, fields in typed.items():
            for factor in ({}, {"factor": "wrong"}):
                await bob.get(page)
                await bob.post(page, 422, **fields, **factor)
                assert (bob.path, 'id="factor-error"' in bob.text) == (page, True)
                assert "What is secret was not kept: enter it again" in bob.words
                assert all(each not in bob.text for each in fields.values())
