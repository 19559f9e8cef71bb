"""Run the kit against one copy of an adapter or of the sources; end with 1 at the first failing case,
and print it.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import trio

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def _mudrex(folder: str) -> Any:
    from plugins.mudrex import default_settings
    from plugins.mudrex.adapter import MudrexAdapter, MudrexSettings
    from plugins.mudrex.simulator.faults import Drill
    from plugins.mudrex.simulator.server import serve
    from plugins.mudrex.simulator.simulated import Simulator

    def adapter_at(url: str) -> MudrexAdapter:
        return MudrexAdapter(
            MudrexSettings.parse(
                {**default_settings, "base_url": url, "orders_per_s": 100, "reads_per_s": 100}
            )
        )

    drill = Drill(switches={"page_rows_max": 20, "decoys": True})
    simulator = Simulator(None, latency_s=0.0, per_s=0, fill_s=(0.05, 0.2), drill=drill)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, simulator, 0)
        yield adapter_at, f"http://127.0.0.1:{port}/fapi"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _example(folder: str) -> Any:
    sys.path.insert(0, str(ROOT / "tests" / "journeys"))
    sys.path.insert(0, folder)
    import completed_exchange
    from tiny_exchange import tiny_exchange

    with tiny_exchange() as url:
        yield completed_exchange.Adapter, url


COPIES: dict[str, Callable[[str], AbstractAsyncContextManager[Any]]] = {
    "mudrex": _mudrex,
    "example": _example,
}


async def check(kind: str, folder: str) -> int:
    """Run the cases, as ``rexalgo plugin test`` does; those that trade on one account."""
    reports = [await _exchange(kind, folder)] if kind in COPIES else await _sources()
    failures = [each for report in reports for each in report.failures]
    for each in failures:
        print(f"{each.number}: {each.detail[:150]}")
    return 1 if failures else 0


async def _sources() -> list[Any]:
    from plugins import crossover, signed_webhook
    from rexalgo import sign_a
    from rexalgo.testing import (
        SourceUnderTest,
        StreamUnderTest,
        check_signal_source,
        check_stream_source,
    )

    webhook = signed_webhook.SignedWebhook()
    stream = StreamUnderTest(crossover.Crossover(), crossover.params_for_kit)
    return [
        check_signal_source(SourceUnderTest(webhook, sign_a, signed_webhook.body_for_kit)),
        await check_stream_source(stream),
    ]


async def _exchange(kind: str, folder: str) -> Any:
    from rexalgo import Secret
    from rexalgo.testing import ExchangeUnderTest, check_exchange_adapter

    async with COPIES[kind](folder) as (adapter_at, url):
        right, wrong = {"secret": Secret("sim-of-the-kit")}, {"secret": Secret("bad-key-of-kit")}
        under_test = ExchangeUnderTest(
            adapter=adapter_at(url),
            credentials=right,
            settings={},
            data_dir=folder,
            wrong_credentials=wrong,
            adapter_at=adapter_at,
        )
        return await check_exchange_adapter(under_test, stop_at_first=True)


if __name__ == "__main__":
    sys.path[:0] = [sys.argv[2], str(ROOT)]
    sys.exit(trio.run(check, *sys.argv[1:3]))
