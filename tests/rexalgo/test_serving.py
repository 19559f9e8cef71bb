"""Who is trusted for asking from this machine, and when memory is settled."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from engine.settings.config import load_config
from engine.views import ReadinessView
from rexalgo.cli.process import collect_rarely, settle_memory
from rexalgo.cli.serving import trusts_here


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", True),
        ("http://localhost:8420", True),
        ("http://127.0.0.1:8420", True),
        ("http://[::1]:8420", True),
        ("https://copy.example.org", False),
        ("http://10.0.0.5", False),
        ("https://127.0.0.1.example.org", False),
    ],
)
def test_a_person_on_this_machine_is_trusted_only_where_no_stranger_is_led_here(
    tmp_path: Path, url: str, expected: bool
) -> None:
    (tmp_path / "rexalgo.toml").write_text(f'[web]\npublic_url = "{url}"\n', encoding="utf-8")
    assert trusts_here(load_config(tmp_path, {})) is expected


@pytest.fixture
def usual_collection() -> Iterator[None]:
    """Put the interpreter's garbage collection back after the test."""
    before = gc.get_threshold()
    gc.unfreeze()
    yield
    gc.freeze()  # as it was: see tests/conftest.py
    gc.set_threshold(*before)


def ready(is_ready: bool) -> ReadinessView:
    """Return what a probe is answered."""
    return ReadinessView(ready=is_ready, ledger=True, accounts=0, accounts_reconciled=0)


async def never_ready() -> ReadinessView:
    return ready(False)


async def test_memory_is_settled_once_the_engine_is_ready(
    usual_collection: None, autojump_clock: trio.testing.MockClock
) -> None:
    answers = [False, False, True]
    frozen: list[int] = []

    async def readiness() -> ReadinessView:
        frozen.append(gc.get_freeze_count())
        return ready(answers.pop(0))

    await settle_memory(readiness, trio.Event())
    assert frozen == [0, 0, 0]
    assert gc.get_freeze_count() > 10_000


def test_a_start_is_collected_rarely_and_without_what_was_imported(usual_collection: None) -> None:
    collect_rarely()
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] > 700


async def test_an_engine_that_stops_before_it_is_ready_settles_nothing(
    usual_collection: None, autojump_clock: trio.testing.MockClock
) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(settle_memory, never_ready, stop)
        await trio.sleep(5)
        stop.set()
    assert gc.get_freeze_count() == 0
