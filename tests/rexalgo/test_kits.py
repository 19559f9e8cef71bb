"""The built-in plugins pass the kits that every plugin must pass, and a package of ``plugin new``
fails the expected cases.
"""

import hashlib
import importlib.util
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio

from engine.plugin.kit_record import (
    KIT_VERSION,
    KitRecord,
    read_record,
    why_unproven,
    write_record,
)
from plugins import signed_webhook
from plugins.gcra import GcraLimiter
from plugins.mudrex import default_settings
from plugins.mudrex.adapter import MudrexAdapter, MudrexSettings
from plugins.mudrex.simulator.faults import Drill
from plugins.mudrex.simulator.server import serve
from plugins.mudrex.simulator.simulated import Simulator
from rexalgo import (
    PLUGIN_API_VERSION,
    Action,
    Authenticated,
    Candle,
    Delivery,
    InvalidValue,
    PositionSide,
    Secret,
    SignalDraft,
    StreamContext,
    Symbol,
    sign_a,
    sign_b,
)
from rexalgo.testing import (
    ExchangeUnderTest,
    KitReport,
    SourceUnderTest,
    StreamUnderTest,
    Verdict,
    check_exchange_adapter,
    check_rate_limiter,
    check_signal_source,
    check_stream_source,
)

BTC = Symbol("BTCUSDT")


def rexalgo(*args: object, cwd: Path, code: int = 0) -> str:
    told = subprocess.run(
        [sys.executable, "-m", "rexalgo", *map(str, args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == code, told.stdout + told.stderr
    return told.stdout


def test_paper_passes_by_the_command_line_and_the_pass_is_recorded(tmp_path: Path) -> None:
    rexalgo("init", cwd=tmp_path)
    told = json.loads(rexalgo("plugin", "test", "paper", "--json", cwd=tmp_path))
    assert told["passed"] is True
    assert told["environment"] == "PAPER"
    assert "passed" in rexalgo("plugin", "show", "paper", cwd=tmp_path)


def test_a_live_address_is_never_traded_on(tmp_path: Path) -> None:
    rexalgo("init", cwd=tmp_path)
    rexalgo("plugin", "test", "mudrex", cwd=tmp_path, code=3)


async def mudrex_report(
    only: str | None = None, *, traits: Mapping[str, Any] | None = None, **switches: object
) -> KitReport:
    simulator = Simulator(
        None, latency_s=0.0, per_s=0, fill_s=(0.05, 0.3), drill=Drill(switches=switches)
    )
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, simulator, 0)
        adapter = MudrexAdapter(
            MudrexSettings.parse(
                {
                    **default_settings,
                    "base_url": f"http://127.0.0.1:{port}/fapi",
                    "orders_per_s": 100,
                    "reads_per_s": 100,
                }
            )
        )
        adapter.traits = replace(adapter.traits, **(traits or {}))
        under_test = ExchangeUnderTest(
            adapter=adapter,
            credentials={"secret": Secret("sim-kit")},
            settings={},
            data_dir="",
            wrong_credentials={"secret": Secret("bad-key")},
        )
        report = await check_exchange_adapter(under_test, only)
        nursery.cancel_scope.cancel()
    return report


async def test_mudrex_passes_against_its_simulator() -> None:
    report = await mudrex_report()
    report.raise_failures()
    skipped = {each.number for each in report.results if each.verdict is Verdict.SKIPPED}
    assert skipped == set()
    proofs = (
        "the order that names the position, else the closed position, else a later reading "
        "without the position"
    )
    assert report.capabilities["exit_proof"] == proofs


STRANGE = {
    "strange_rows": True,
    "numbers_as_text": True,
    "fills_at_levels": True,
    "closed_rows_late_s": 0.5,
    "page_rows_max": 20,
    "decoys": True,
    "history_offset": "time",
    "history_shows_working": False,
    "stop_row": "order",
    "partial_closes": "parts",
}


@pytest.mark.parametrize(
    "number", ["E14", "E20", "E21", "E25", "E28", "E54", "E57", "E58", "E59", "E60"]
)
async def test_mudrex_keeps_its_promises_where_its_exchange_has_other_habits(number: str) -> None:
    (await mudrex_report(number, **STRANGE)).raise_failures()


@pytest.mark.parametrize("number", ["E21", "E25", "E57", "E58", "E59"])
async def test_mudrex_proves_whole_exits_where_no_order_row_of_a_close_ever_shows(
    number: str,
) -> None:
    (await mudrex_report(number, closing_row="never")).raise_failures()


async def test_an_exchange_that_keeps_no_money_for_resting_orders_may_not_say_that_it_does() -> (
    None
):
    report = await mudrex_report("E18", traits={"reserves_for_resting": True})
    (failed,) = [each for each in report.results if each.verdict is Verdict.FAIL]
    assert "less of free money while the orders rest" in failed.detail


def test_the_built_in_limiter_and_source_pass() -> None:
    check_rate_limiter(GcraLimiter).raise_failures()
    source, body = signed_webhook.SignedWebhook(60), signed_webhook.body_for_kit
    check_signal_source(SourceUnderTest(source, sign_a, body)).raise_failures()
    check_signal_source(
        SourceUnderTest(source, lambda key, content, at: sign_b(key, content, "kit-1", at), body)
    ).raise_failures()


def module_of(folder: Path, package: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(package, folder / package / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_written_fails_the_right_cases_first(tmp_path: Path) -> None:
    told = {}
    for kind in ("exchange", "source", "limiter", "stream"):
        told[kind] = rexalgo("plugin", "new", f"my_{kind}", "--kind", kind, cwd=tmp_path)
        assert f"{sys.executable} -m pip install -e rexalgo-my-{kind}\n" in told[kind]
        rexalgo("plugin", "new", f"my_{kind}", "--kind", kind, cwd=tmp_path, code=3)
    source = module_of(tmp_path / "rexalgo-my-source", "rexalgo_my_source")
    report = check_signal_source(
        SourceUnderTest(source.MySource(), source.sign_for_kit, source.body_for_kit)
    )
    assert [each.number for each in report.failures] == ["S04", "S06"]
    assert "At first it fails S04 and S06;" in told["source"]
    stream = module_of(tmp_path / "rexalgo-my-stream", "rexalgo_my_stream")
    running = trio.run(
        check_stream_source, StreamUnderTest(stream.MyStream(), stream.params_for_kit)
    )
    assert [each.number for each in running.failures] == ["S22", "S24"]
    assert "At first it fails S22 and S24;" in told["stream"]
    limiter = module_of(tmp_path / "rexalgo-my-limiter", "rexalgo_my_limiter")
    assert [each.number for each in check_rate_limiter(limiter.MyLimiter).failures] == [
        "L01",
        "L02",
        "L03",
    ]
    exchange = module_of(tmp_path / "rexalgo-my-exchange", "rexalgo_my_exchange")
    under_test = ExchangeUnderTest(
        adapter=exchange.MyExchange("http://127.0.0.1:1"),
        credentials={"secret": Secret("a-key-of-mine")},
        settings={},
        data_dir=str(tmp_path),
    )
    trading = trio.run(check_exchange_adapter, under_test)
    assert [each.number for each in trading.results if each.verdict is Verdict.PASS][:2] == [
        "E01",
        "E02",
    ]
    assert {"E04", "E06", "E10"} <= {each.number for each in trading.failures}
    assert "is not written yet" in " ".join(each.detail for each in trading.failures)


def test_what_is_written_can_be_installed(tmp_path: Path) -> None:
    rexalgo("plugin", "new", "my_limiter", "--kind", "limiter", cwd=tmp_path)
    target = tmp_path / "site"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "install",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "--target",
            str(target),
            str(tmp_path / "rexalgo-my-limiter"),
        ],
        check=True,
        capture_output=True,
        timeout=180,
    )
    env = {**os.environ, "PYTHONPATH": str(target)}
    told = subprocess.run(
        [sys.executable, "-m", "rexalgo", "plugin", "list", "--json"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "my_limiter" in {each["name"] for each in json.loads(told.stdout)["plugins"]}


def record(**changes: object) -> KitRecord:
    fields: dict[str, object] = {
        "plugin": "toy",
        "distribution": "toy",
        "version": "1",
        "code": "c0de",
        "kit_version": KIT_VERSION,
        "api_version": PLUGIN_API_VERSION,
        "at": "",
        "environment": "SIMULATED",
        "read_only": False,
        "passed": True,
        "cases": 30,
        "failed": (),
    }
    return KitRecord(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"version": "2"}, "it passed with version 2, and now it is 1"),
        ({"kit_version": 0}, f"it passed with the kit's version 0, and now it is {KIT_VERSION}"),
        ({"api_version": 0}, f"it passed with API version 0, and now it is {PLUGIN_API_VERSION}"),
        ({"code": "other"}, "its files were changed since it passed"),
        ({"passed": False, "failed": ("E33",)}, "its kit failed E33"),
    ],
)
def test_a_record_proves_one_version_and_code_of_plugin_kit_and_api(
    changes: dict[str, object], why: str, tmp_path: Path
) -> None:
    write_record(tmp_path, record(**changes))
    assert why_unproven(tmp_path, "toy", "1", "c0de") == why
    assert why_unproven(tmp_path, "other", "1", "c0de") == "its kit was never run here"


def test_a_look_that_only_reads_proves_nothing_and_takes_no_proof_away(tmp_path: Path) -> None:
    write_record(tmp_path, record(read_only=True))
    assert why_unproven(tmp_path, "toy", "1", "c0de") == "its kit was never run here"
    write_record(tmp_path, record())
    write_record(tmp_path, record(read_only=True, passed=False, failed=("E03",)))
    assert why_unproven(tmp_path, "toy", "1", "c0de") == ""
    looked = read_record(tmp_path, "toy", read_only=True)
    assert looked is not None
    assert looked.failed == ("E03",)


def test_what_was_recorded_from_a_simulator_answers_the_reading_cases_without_it(
    tmp_path: Path,
) -> None:
    rexalgo("init", cwd=tmp_path)
    command = [
        sys.executable,
        "-m",
        "rexalgo",
        "simulate",
        "mudrex",
        "--json",
        "--per-second",
        "0",
        "--latency-ms",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator:
        assert simulator.stdout is not None
        head = ""
        while not head.endswith("}\n"):
            head += simulator.stdout.readline()
        url = json.loads(head)["base_url"]
        try:
            live = json.loads(
                rexalgo(
                    "plugin",
                    "test",
                    "mudrex",
                    "--against",
                    url,
                    "--read-only",
                    "--record",
                    "answers.jsonl",
                    "--json",
                    cwd=tmp_path,
                )
            )
        finally:  # a simulator that goes on would keep the test from ending
            simulator.terminate()
    assert "kit-" not in (tmp_path / "answers.jsonl").read_text(encoding="utf-8")
    told = json.loads(
        rexalgo(
            "plugin",
            "test",
            "mudrex",
            "--against",
            url,
            "--recorded",
            "answers.jsonl",
            "--case",
            "E01",
            "--json",
            cwd=tmp_path,
        )
    )
    assert told["passed"], told
    assert live["passed"], live


class Trend:
    """A source that enters long when a candle closed above the one before, for the kit."""

    name = "trend"

    def check_params(self, params: Mapping[str, object]) -> None:
        if (
            set(params) != {"interval_s"}
            or not isinstance(params["interval_s"], int)
            or not 60 <= params["interval_s"] <= 86_400
        ):
            raise InvalidValue("params.interval_s", "seconds from 60 to 86400", params)

    async def run(self, context: StreamContext) -> None:
        before, count = None, 0
        async for candle in context.candles(BTC, 60):
            if before is not None and candle.close > before.close:
                count += 1
                key = self.key(context, candle, count)
                await context.emit(SignalDraft(key, Action.OPEN, BTC, PositionSide.LONG))
            before = candle

    def key(self, context: StreamContext, candle: Candle, count: int) -> str:
        return f"trend-{candle.opened_at:%Y%m%d%H%M}"


class OncePerDay(Trend):
    """A trend whose signals of one day are one."""

    def key(self, context: StreamContext, candle: Candle, count: int) -> str:
        return f"trend-{candle.opened_at:%Y%m%d}"


@pytest.mark.parametrize("source", [Trend(), OncePerDay()])
async def test_a_sound_stream_source_passes(source: Trend) -> None:
    report = await check_stream_source(StreamUnderTest(source, {"interval_s": 60}))
    assert [each.verdict for each in report.results] == [Verdict.PASS] * 4, report.results


@pytest.mark.parametrize(
    "key",
    [
        lambda context, candle, count: secrets.token_hex(8),
        lambda context, candle, count: f"{id(context)}-{candle.opened_at}",
        lambda context, candle, count: f"c-{count}",
    ],
    ids=["random", "address in memory", "count in memory"],
)
async def test_a_stream_source_whose_ids_do_not_come_from_candles_fails(key: Any) -> None:
    class Forgetful(Trend):
        def key(self, context: StreamContext, candle: Candle, count: int) -> str:
            return str(key(context, candle, count))

    worse = await check_stream_source(StreamUnderTest(Forgetful(), {"interval_s": 60}))
    assert [each.number for each in worse.failures] == ["S24"]


class Hook(signed_webhook.SignedWebhook):
    """A webhook source that changes what the built-in one read."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.change = change

    def parse(self, delivery: Delivery, proof: Authenticated) -> SignalDraft:
        try:
            draft = super().parse(delivery, proof)
        except InvalidValue as error:
            return self.change(None, error, delivery)  # type: ignore[no-any-return]
        return self.change(draft, None, delivery)  # type: ignore[no-any-return]


def same(draft: SignalDraft | None, error: InvalidValue | None, _: Delivery) -> SignalDraft:
    if error is not None:
        raise error
    assert draft is not None
    return draft


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        (same, []),
        (lambda d, e, by: replace(same(d, e, by), dedupe_key="always"), ["S05"]),
        (lambda d, e, by: replace(d := same(d, e, by), dedupe_key=f"{d.symbol}open"), ["S05"]),
        (
            lambda d, e, by: replace(
                same(d, e, by), dedupe_key=hashlib.sha256(by.body).hexdigest()
            ),
            [],
        ),
        (lambda d, e, by: d, ["S06"]),
    ],
    ids=["its own id", "constant", "contract and action", "hash of the body", "None for an error"],
)
def test_a_webhook_source_whose_ids_or_silence_lose_signals_fails(
    change: Any, failed: list[str]
) -> None:
    body = signed_webhook.body_for_kit
    report = check_signal_source(SourceUnderTest(Hook(change), sign_a, body))
    assert [each.number for each in report.failures] == failed, report.failures
