"""``rexalgo demo``: a complete paper installation in one process. A bot posts signed signals over
real HTTP, and followers of different sizes copy them. Beside it an algorithm reads candles, and one
account copies it.
"""

import json
import secrets
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import click
import trio
from rich.console import Console

from engine.domain.network import LOOPBACK
from engine.domain.outcome import OutcomeCode
from engine.settings.config import load_config
from engine.settings.files import create_file
from engine.transport import HttpClientFactory
from engine.views import OutcomeRow
from rexalgo import Secret, sign_a
from rexalgo.cli.common import Exit, emit_json, json_option
from rexalgo.cli.init import new_env_text
from rexalgo.cli.logs import TO_STDERR, start_logging
from rexalgo.cli.process import keep_memory_private, run_trio, wait_for_signal
from rexalgo.cli.serving import Served, serving, tunnel_hint, with_port

FOLLOWERS_SHOWN: Final = 12
SHOWN_OF_EACH: Final = 3
PAUSE_S: Final = 1.5
OUTCOMES_WITHIN_S: Final = 90.0
GO_ON_EVERY_S: Final = 12.0
PEOPLE: Final = (
    ("follower:trader", "trader"),
    ("master:alpha", "master"),
    ("operator", "operator"),
)
_SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
_NOT_AGREED: Final = "SOLUSDT"
ALGO: Final = "cross"
WATCHER: Final = "trader"
"""The account that watches the algorithm; it copies the bot."""
_ALGO_SYMBOL: Final = "SOLUSDT"
_ALGO_PARAMS: Final[dict[str, object]] = {
    # candles of one second, so that a cross appears within seconds instead of hours
    "symbol": _ALGO_SYMBOL,
    "interval_s": 1,
    "fast": 3,
    "slow": 8,
    "quantity": "2",
}
_COLOURS: Final = {
    "filled": "green",
    "skipped": "yellow",
    "denied": "magenta",
    "rejected": "red",
    "unknown": "red",
}
_KINDS: Final[tuple[tuple[str, str, dict[str, object]], ...]] = (
    # (name, balance, terms): sizes and limits differ, so that copies are filled, skipped and denied
    ("small", "500", {"sizing": {"mode": "fixed_margin", "margin": "25"}}),
    ("medium", "5000", {"sizing": {"mode": "fixed_margin", "margin": "150"}, "leverage": "3"}),
    ("large", "100000", {"sizing": {"mode": "fixed_notional", "notional": "12000"}}),
    (
        "capped",
        "5000",
        {"sizing": {"mode": "fixed_margin", "margin": "400"}, "limits": {"order_notional": "500"}},
    ),
    ("watching", "2000", {"sizing": {"mode": "fixed_margin", "margin": "100"}, "mode": "watch"}),
    ("double", "20000", {"sizing": {"mode": "multiplier", "factor": "2"}}),
    ("tiny", "50", {"sizing": {"mode": "fixed_margin", "margin": "0.5"}}),
    ("steady", "10000", {"sizing": {"mode": "fixed_quantity", "quantity": "0.05"}}),
)


@click.command()
@click.option(
    "--followers",
    type=click.IntRange(1, 5_000),
    default=8,
    show_default=True,
    help="How many followers copy.",
)
@click.option(
    "--signals",
    type=click.IntRange(1, 1_000),
    default=4,
    show_default=True,
    help="How many signals the bot sends.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Seed of the simulated market.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    help="Port of the page. Default: a free one.",
)
@click.option(
    "--once",
    is_flag=True,
    help="End after the last signal, with 0 if every copy has an outcome, else 1.",
)
@json_option
def demo(followers: int, signals: int, seed: int, port: int, once: bool, as_json: bool) -> None:
    """Watch signed webhooks and an algorithm fan out to followers of different sizes on the paper
    exchange.

    The demo runs in a temporary folder and reaches no real exchange. With --json it prints one
    object after the last signal.
    """
    started = time.monotonic()
    start_logging(replace(TO_STDERR, level="error"))
    keep_memory_private()
    with tempfile.TemporaryDirectory(prefix="rexalgo-demo-") as folder:
        story = _Story(
            folder=Path(folder),
            followers=followers,
            signals=signals,
            seed=seed,
            port=port,
            once=once,
            console=Console(stderr=as_json, highlight=False),
            as_json=as_json,
            started=started,
        )
        complete = run_trio(story.run)
    if not complete:
        raise SystemExit(Exit.NO)


@dataclass(slots=True)
class _Bot:
    """A master's bot: signs signals and posts them over real HTTP."""

    url: str
    secret: Secret
    http: HttpClientFactory = field(default_factory=partial(HttpClientFactory, reach=LOOPBACK))

    async def post(self, body: Mapping[str, object]) -> tuple[int, dict[str, object], float]:
        """Send one signal; return the status, the answer and the time taken in milliseconds."""
        content = json.dumps(body).encode()
        began = time.perf_counter()
        base, _, path = self.url.partition("/api/")
        async with aclosing(self.http(base)) as client:
            headers = {
                **sign_a(self.secret, content, datetime.now(UTC)),
                "Content-Type": "application/json",
            }
            answer = await client.post(f"/api/{path}", content=content, headers=headers)
        return answer.status_code, answer.json(), (time.perf_counter() - began) * 1000


@dataclass(slots=True)
class _Story:
    folder: Path
    followers: int
    signals: int
    seed: int
    port: int
    once: bool
    console: Console
    as_json: bool
    started: float
    webhook_ms: list[float] = field(default_factory=list)
    last_order_ms: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    copies: int = 0
    open: int = 0
    sequence: int = 0
    bot: "_Bot | None" = None
    algo: dict[str, OutcomeRow] = field(default_factory=dict)

    async def run(self) -> bool:
        """Run the demo; return whether every follower got a copy of every signal and every copy has
        an outcome.
        """
        _write_place(self.folder, self.seed)
        config = with_port(load_config(self.folder, {}), self.port)
        async with serving(config, "rexalgo demo", PEOPLE) as served:
            stopped = False
            async with trio.open_nursery() as nursery:

                async def watch() -> None:
                    nonlocal stopped
                    await wait_for_signal()
                    stopped = True
                    nursery.cancel_scope.cancel()

                nursery.start_soon(watch)
                await self._play(served)
                complete = self._complete()
                if not self.once and not self.as_json:
                    self.console.print(
                        "\nThe pages stay up, and the bot keeps sending. Ctrl-C ends the demo and "
                        "removes its folder."
                    )
                    await self._go_on()
                nursery.cancel_scope.cancel()
            return stopped or complete

    async def _go_on(self) -> None:
        """Keep sending signals, so that the pages show live data."""
        assert self.bot is not None
        for number in count(self.signals):
            await trio.sleep(GO_ON_EVERY_S)
            await self.bot.post(_body(number))

    def _complete(self) -> bool:
        is_whole = self.copies == self.signals * self.followers == self.outcomes.total()
        return is_whole and self.open == 0 and self._algo_ended() > 0

    def _algo_ended(self) -> int:
        """Count the algorithm's signals whose copy has its outcome."""
        return sum(OutcomeCode(row.code).is_final for row in self.algo.values())

    async def _play(self, served: Served) -> None:
        answer = await served.engine.commands.run(
            "provision", {"table": _table(self.followers), "file": "the demo's own table"}
        )
        made = answer["strategies"][0]
        bot = self.bot = _Bot(made["webhook_url"], Secret(made["secret"]))
        await served.engine.commands.run("operator_create", {"name": "operator", "by": "the demo"})
        self._greet(served)
        await _ready(served)
        await self._be_refused(bot)
        for number in range(self.signals):
            if number and not self.once and not self.as_json:
                await trio.sleep(PAUSE_S)
            await self._signal(served, bot, number)
        with trio.move_on_after(OUTCOMES_WITHIN_S):
            while not self._algo_ended():
                await self._next_rows(served)
        self._sum_up(served)

    def _greet(self, served: Served) -> None:
        say = self.console.print
        label = "[bold]RexAlgo demo[/]  [black on yellow] PAPER [/]"
        say(
            f"{label}  {self.followers} followers, simulated market with seed {self.seed}, no "
            "real money"
        )
        say(f"  be a trader, the master or the operator:  [bold]{served.url}/[/]")
        say(f"  every outcome as it happens:              {served.page_url}")
        hint = tunnel_hint(served.url)
        if hint is not None:
            say(
                f"  no browser on this machine? Run on yours: {hint}  and open the same address",
                soft_wrap=True,
            )

    async def _be_refused(self, bot: _Bot) -> None:
        """Send what the strategy may not send, so that the master is told of it and what to send."""
        status, _, _ = await bot.post({**_body(0), "symbol": _NOT_AGREED})
        self.console.print(
            f"\n[dim]a message about {_NOT_AGREED}, which the strategy does not trade, is refused: "
            f"{status}; the master's notifications say so[/]",
            soft_wrap=True,
        )

    async def _signal(self, served: Served, bot: _Bot, number: int) -> None:
        body = _body(number)
        status, answer, took_ms = await bot.post(body)
        self.webhook_ms.append(took_ms)
        words = f"{body['action']} {body['symbol']}" + (
            f" {body['side']}" if "side" in body else ""
        )
        self.console.print(
            f"\n[bold]signal {number + 1}: {words}[/]  signed POST answered {status} in "
            f"{took_ms:.1f} ms"
        )
        if status not in (200, 202):
            self.console.print(f"  [red]not taken: {answer}[/]")
            return
        rows = await self._rows_of(served, str(answer["signal_id"]))
        self._account(rows)

    async def _rows_of(self, served: Served, signal: str) -> dict[str, OutcomeRow]:
        """Read the stream of outcomes until every follower has a final one."""
        rows: dict[str, OutcomeRow] = {}
        shown: Counter[str] = Counter()
        with trio.move_on_after(OUTCOMES_WITHIN_S):
            while sum(OutcomeCode(row.code).is_final for row in rows.values()) < self.followers:
                for row in await self._next_rows(served):
                    if row.signal_id == signal:
                        rows[row.account] = row
                        self._show(row, shown)
        if self.followers > FOLLOWERS_SHOWN:
            counts = Counter(row.code for row in rows.values())
            self.console.print(
                "  in all: " + ", ".join(f"{count} {code}" for code, count in counts.most_common()),
                soft_wrap=True,
            )
        return rows

    async def _next_rows(self, served: Served) -> Sequence[OutcomeRow]:
        """Wait for further outcomes and return them. Show those of the algorithm's signals."""
        rows = await served.engine.monitor.wait_outcomes(self.sequence, 500)
        for row in rows:
            self.sequence = row.sequence
            if row.strategy == ALGO and row.account != WATCHER:
                if row.signal_id not in self.algo:
                    self.console.print(
                        f"\n[bold]{ALGO}: {row.action} {row.symbol} {row.side}[/]  from the "
                        "crossing of two averages; no bot, no POST"
                    )
                self.algo[row.signal_id] = row
                self._show(row, Counter())
        return rows

    def _show(self, row: OutcomeRow, shown: Counter[str]) -> None:
        """Print a copy. With many followers, print only the first few of each outcome."""
        shown[row.code] += 1
        if self.followers > FOLLOWERS_SHOWN and shown[row.code] > SHOWN_OF_EACH:
            return
        family = row.code.partition(".")[0]
        latency = f"{row.latency_ms:7.1f} ms"
        self.console.print(
            f"  {row.account:<16} [{_COLOURS.get(family, 'white')}]{row.code:<24}[/] {latency}  "
            f"{row.sentence}",
            soft_wrap=True,
        )
        if family == "filled" and self.started:
            self.console.print(
                f"  [dim]^ the first copied trade, {time.monotonic() - self.started:.1f} s "
                "after this command started[/]"
            )
            self.started = 0

    def _account(self, rows: Mapping[str, OutcomeRow]) -> None:
        self.copies += len(rows)
        self.outcomes.update(row.code for row in rows.values())
        self.open += sum(not OutcomeCode(row.code).is_final for row in rows.values())
        unsent = ("skipped", "denied", "expired", "killed")
        sent = [
            row.latency_ms or 0.0
            for row in rows.values()
            if OutcomeCode(row.code).family not in unsent
        ]
        if sent:
            self.last_order_ms.append(max(sent))

    def _sum_up(self, served: Served) -> None:
        summary = {
            "signals": self.signals,
            "followers": self.followers,
            "copies": self.copies,
            "outcomes": dict(self.outcomes.most_common()),
            "webhook_ms_p50": _median(self.webhook_ms),
            "signal_to_last_order_ms_p50": _median(self.last_order_ms),
            "algo": {
                "strategy": ALGO,
                "source": "crossover",
                "signals": len(self.algo),
                "outcomes": dict(Counter(row.code for row in self.algo.values())),
            },
            "page_url": served.page_url,
            "environment": "paper",
            "complete": self._complete(),
        }
        say = self.console.print
        counts = ", ".join(f"{count} {code}" for code, count in self.outcomes.most_common())
        say(
            f"\n[bold]{self.signals} signals x {self.followers} followers = {self.copies} "
            f"copies[/]: {counts}",
            soft_wrap=True,
        )
        codes = Counter(row.code for row in self.algo.values())
        say(
            f"  {ALGO}, an algorithm, sent {len(self.algo)} beside them: "
            + ", ".join(f"{count} {code}" for code, count in codes.most_common()),
            soft_wrap=True,
        )
        say(
            f"  webhook answered in {summary['webhook_ms_p50']} ms, last order after "
            f"{summary['signal_to_last_order_ms_p50']} ms (medians)"
        )
        if not self._complete():
            say("  [red]incomplete: not every copy has an outcome[/]")
        if not self.once:
            say(
                f"\nWhile this runs, in another shell: [bold]./bin/rexalgo --config {self.folder} "
                "why last trader[/]",
                soft_wrap=True,
            )
        say(
            "\nNext: [bold]./bin/rexalgo init --dir my-place[/] for your own installation, and "
            "[bold]make test[/]"
        )
        if self.as_json:
            emit_json(summary)


async def _ready(served: Served) -> None:
    while not (await served.engine.monitor.readiness()).ready:  # noqa: ASYNC110 - readiness is polled, as by any probe; it has no event
        await trio.sleep(0.02)


def _median(values: list[float]) -> float | None:
    return round(statistics.median(values), 1) if values else None


def _body(number: int) -> dict[str, object]:
    """Return a signal: open every symbol, close every symbol, and repeat with the other side."""
    turn, place = divmod(number, 2 * len(_SYMBOLS))
    symbol = _SYMBOLS[place % len(_SYMBOLS)]
    common: dict[str, object] = {
        "idempotency_key": f"demo-{number + 1}-{secrets.token_hex(4)}",
        "symbol": symbol,
        "sent_at": datetime.now(UTC).isoformat(),
    }
    if place >= len(_SYMBOLS):
        return {**common, "action": "close"}
    size = {"mode": "quantity", "quantity": "0.02"}
    return {
        **common,
        "action": "open",
        "side": "LONG" if turn % 2 == 0 else "SHORT",
        "leverage": "5",
        "size": size,
    }


def _table(followers: int) -> dict[str, object]:
    return {
        "master": [{"name": "alpha"}],
        "strategy": [
            {
                "name": "trend",
                "master": "alpha",
                "kind": "copy_trading",
                "symbols": list(_SYMBOLS),
                "leverage": "5",
            },
            {
                "name": ALGO,
                "master": "alpha",
                "kind": "algo",
                "source": "crossover",
                "symbols": [_ALGO_SYMBOL],
                "leverage": "5",
                "params": _ALGO_PARAMS,
            },
        ],
        "follower": [
            _trader(),
            *(_follower(index) for index in range(1, followers)),
            {
                "name": f"{ALGO}-1",
                "exchange": "paper",
                "secret": f"paper:5000:{ALGO}-1",
                "strategy": ALGO,
                "sizing": {"mode": "multiplier", "factor": "1"},
            },
        ],
        "subscription": [
            {
                "follower": WATCHER,
                "strategy": ALGO,
                "mode": "watch",
                "sizing": {"mode": "fixed_margin", "margin": "25"},
            }
        ],
    }


def _trader() -> dict[str, object]:
    """Return the trader whom a visitor of the demo may be; some signals reach their limits."""
    terms: dict[str, object] = {
        "sizing": {"mode": "fixed_margin", "margin": "25"},
        "limits": {"open_positions": 1},
    }
    return {
        "name": "trader",
        "exchange": "paper",
        "secret": "paper:2500:trader",
        "strategy": "trend",
        **terms,
    }


def _follower(index: int) -> dict[str, object]:
    kind, balance, terms = _KINDS[index % len(_KINDS)]
    name = f"{kind}-{index // len(_KINDS) + 1}"
    return {
        "name": name,
        "exchange": "paper",
        "secret": f"paper:{balance}:{name}",
        "strategy": "trend",
        **terms,
    }


def _write_place(folder: Path, seed: int) -> None:
    """Write an ordinary configuration, so that other commands work on the demo with --config."""
    enabled = (
        '["paper", "signed_webhook", "tradingview", "crossover", "gcra", "log", "webhook_out"]'
    )
    create_file(
        folder / "rexalgo.toml",
        f"[plugins]\nenabled = {enabled}\n\n[plugin.paper]\nseed = {seed}\n",
        0o644,
    )
    create_file(folder / ".env", new_env_text(), 0o600)
