"""The people of a place on the operator's pages: found, paged, signed out, given roles."""

from pathlib import Path

from web_place import PASSWORD, web_place

from engine.domain.person import Role


async def test_people_are_paged_and_filtered_by_name_role_and_suspension(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        await place.person("ada", Role.MASTER)
        for number in range(21):
            made = await place.engine.commands.run("operator_create", {"name": f"op{number:02}"})
            assert made["name"] == f"op{number:02}"
        await ops.get("/operate/people")
        assert "23 people" in ops.words
        assert "op17" in ops.text
        assert "op19" not in ops.text
        await ops.get("/operate/people?search=&who=&after=op17")
        assert ["op17" in ops.text, "op18" in ops.text, "op20" in ops.text, "ops" in ops.text] == [
            False,
            True,
            True,
            True,
        ]
        await ops.get("/operate/people?who=master")
        assert "1 person." in ops.words
        await place.engine.commands.run("user_suspend", {"name": "op03"})
        await ops.get("/operate/people?who=suspended&search=op")
        assert "op03" in ops.text
        assert "1 person." in ops.words
        await ops.get("/operate/people?who=suspended&search=zz")
        assert "Nobody fits." in ops.words


async def test_a_person_is_signed_out_and_comes_in_again(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        bob = await place.person("bob", balance="1000")
        other = place.browser()
        await other.get("/sign-in")
        await other.post("/sign-in", name="bob", password=PASSWORD)
        assert other.path == "/home"

        await ops.get("/operate/people/bob")
        assert "2 sessions end, and sign-in is refused. No new entries for 1 account" in ops.words
        await ops.post("/operate/people/sign-out", name="bob", session=ops.value("session"))
        assert "Their sessions ended." in ops.words
        signed_in = []
        for browser in (bob, other):
            await browser.get("/home")
            signed_in.append(browser.path == "/home")
        assert sorted(signed_in) == [False, True], "one session ended, and the other did not"
        await ops.post("/operate/people/sign-out", bare=True, csrf=ops.csrf, name="bob")
        await ops.get("/operate/people/bob")
        assert "signed in nowhere" in ops.words
        await bob.get("/sign-in")
        await bob.post("/sign-in", name="bob", password=PASSWORD)
        assert bob.path == "/home"
        await ops.get("/operate/audit?search=ended+sessions")
        assert "ended sessions of bob" in ops.words


async def test_a_link_is_made_on_the_persons_page_and_changes_no_role(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        await place.person("bob")
        await ops.get("/operate/people/bob")
        await ops.post("/operate/people/link", factor=PASSWORD)
        assert ops.path == "/operate/people/bob"
        assert "/welcome/" in ops.text
        await ops.get("/operate/people/bob")
        assert "/welcome/" not in ops.text
        assert "follower" in ops.words
        await ops.get("/operate/people/ops")
        assert "No longer operator" not in ops.words
        await ops.get("/operate/people/nobody-here", 404)
