"""The page of positions marks an old reading as old, and shows nothing that was never read."""

from pathlib import Path
from typing import Any

from web_place import web_place


async def test_what_was_read_is_said_to_be_old_and_what_was_never_read_is_not(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        assert place.context.live is not None
        task = place.context.live.named("bob")
        assert task is not None
        task_account: Any = task.account
        task_account.report = None  # as after a reading that failed
        await bob.get("/positions")
        assert "bob cannot be read now" in bob.words
        task_account.last_report = None  # as before the first reading
        await bob.get("/positions")
        assert "cannot be read now" not in bob.words
