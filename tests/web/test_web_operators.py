"""The operator's pages claim no more than is known."""

from pathlib import Path

from web_place import web_place

from engine.domain.person import Role


async def test_the_operators_pages_claim_no_more_than_is_known(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        ops = await place.person("ops", Role.OPERATOR)
        await ops.get("/operate/switches")
        assert "No switch is on." in ops.words
        assert "Exchanges: none." in ops.words, (
            "an exchange without an account cannot be switched, and is not offered"
        )
        await place.person("bob", balance="1000")
        await ops.get("/operate/switches")
        assert "Exchanges: paper." in ops.words
        await ops.post("/operate/switches/on", level="entries", scope="exchange", target="paper")
        await ops.get("/operate")
        assert "Switches that are on: exchange paper (no new entries, by ops)" in ops.words
        await ops.get("/operate/webhooks")
        assert "No refused delivery is recorded." in ops.words
