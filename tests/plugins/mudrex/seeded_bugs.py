"""Seed a bug into a copy of the adapter, one at a time, and see whether the kit for exchanges catches it: ``make seeded``.

Run with a folder as its only argument it is the check of one copy: the kit against the simulator, ending with 1 at the first failure.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Bug:
    """Name a bug and the edit (file, text, instead) that makes it; the text must be there."""

    name: str
    file: str
    text: str
    instead: str


C, Q, P, E = "connection.py", "requests.py", "parsing.py", "errors.py"
BUGS: Final = (
    Bug('wrong side', Q, '"order_type": order.position_side.value,\n        "quantity": plain(order.quantity),\n        "trade', '"order_type": "LONG",\n        "quantity": plain(order.quantity),\n        "trade'),
    Bug('quantity through float', Q, '"quantity": plain(order.quantity),\n        "trade', '"quantity": str(float(order.quantity) * 1.0001)[:6],\n        "trade'),
    Bug('quantity doubled', Q, '"quantity": plain(order.quantity),\n        "trade', '"quantity": plain(order.quantity * 2),\n        "trade'),
    Bug('no client order id', Q, '        "client_order_id": order.client_order_id,\n', ''),
    Bug('wrong client order id', Q, '"client_order_id": order.client_order_id,', '"client_order_id": "x" + order.client_order_id[:30],'),
    Bug('swallowed 5xx: taken for a refusal', E, '    return OutcomeUnknown(f"the exchange answered {status}: {text}")', '    return Rejected(text)'),
    Bug('5xx taken for proof', E, '    return OutcomeUnknown(f"the exchange answered {status}: {text}")', '    return NotExecuted(text)'),
    Bug('429 taken for a refusal', E, 'NOT_TAKEN: Final = frozenset({423, 429})', 'NOT_TAKEN: Final = frozenset({423})'),
    Bug('retried POST', C, 'answer = await self._write("POST", "/v2/futures/order", requests.entry_v2(order), symbol=order.symbol)', 'answer = await self._write("POST", "/v2/futures/order", requests.entry_v2(order), symbol=order.symbol)\n            if answer.status_code >= 500:\n                answer = await self._write("POST", "/v2/futures/order", requests.entry_v2(order), symbol=order.symbol)'),
    Bug('retried after a reset', C, 'answer = await self._write("POST", "/v2/futures/order", requests.entry_v2(order), symbol=order.symbol)', 'try:\n                answer = await self._write("POST", "/v2/futures/order", requests.entry_v2(order), symbol=order.symbol)\n            except httpx.ReadError:\n                answer = await self._write("POST", "/v2/futures/order", requests.entry_v2(order), symbol=order.symbol)'),
    Bug('a reset is taken for a refusal', C, 'answer = await self._write("POST", "/v2/futures/order", requests.entry_v2(order), symbol=order.symbol)', 'try:\n                answer = await self._write("POST", "/v2/futures/order", requests.entry_v2(order), symbol=order.symbol)\n            except httpx.ReadError:\n                raise Rejected("reset") from None'),
    Bug('an unreadable acceptance is taken for a refusal', C, 'raise OutcomeUnknown("the exchange accepted the order and its answer cannot be read") from None', 'raise Rejected("cannot be read") from None'),
    Bug('wrong exchange order id', C, 'identifier = str(parsing.data_of(answer.content)["order_id"])', 'identifier = "1" + str(parsing.data_of(answer.content)["order_id"])'),
    Bug('leverage is not set', C, 'answer = await self._write("POST", path, requests.leverage(order.leverage), is_symbol="1")', 'answer = seen'),
    Bug('closes a part where all was meant', Q, '    if order.whole_position:\n', '    if False:\n        pass\n    if order.whole_position:\n        return f"{path}/partial", {"trade_currency": CURRENCY, "order_type": "MARKET", "quantity": plain(order.quantity / 2)}\n    if False:\n'),
    Bug('closes all where a part was meant', Q, '    if order.whole_position:\n', '    if True:\n'),
    Bug('stop is not sent', Q, '    if order.stop_loss is not None:\n        body |= {"is_stoploss"', '    if False:\n        body |= {"is_stoploss"'),
    Bug('stop and target exchanged when they are set', Q, '(("stoploss", wanted.stop_loss), ("takeprofit", wanted.take_profit))', '(("takeprofit", wanted.stop_loss), ("stoploss", wanted.take_profit))'),
    Bug('a removed target stays', Q, '            remove += [] if leg is None else [leg.order_id]\n', '            pass\n'),
    Bug('fills are read as floats', P, 'filled_quantity=Quantity(filled),', 'filled_quantity=float(filled),'),
    Bug('history comes oldest first', C, 'key=_created, reverse=True)), complete)', 'key=_created)), complete)'),
    Bug('history ignores since', C, 'if each.symbol == symbol and each.created_at >= floor]', 'if each.symbol == symbol]'),
    Bug('cancelled is read as filled', P, '"CANCELLED": OrderStatus.CANCELLED,', '"CANCELLED": OrderStatus.FILLED,'),
    Bug('short positions are read as long', P, 'side = PositionSide(str(row["order_type"]))', 'side = PositionSide.LONG'),
    Bug('resting orders are not shown', C, 'return AccountReport(parsing.balance(funds), positions, tuple(resting), as_of)', 'return AccountReport(parsing.balance(funds), positions, (), as_of)'),
    Bug('local time without a zone', P, 'text.replace("Z", "+00:00")).astimezone(UTC)', 'text.replace("Z", "+00:00")).replace(tzinfo=None)'),
    Bug('a failed reading of positions is no position', C, '            raise ExchangeError(f"the exchange\'s positions cannot be read: {error}") from None', '            return []'),
    Bug('positions are not read', C, 'positions = tuple(self._position(row) for row in await self._positions())', 'positions = ()'),
    Bug('an exit without a position is accepted', C, '            raise Rejected("position is not open", RejectionKind.POSITION_NOT_OPEN)', '            raise Rejected("position is not open")'),
    Bug('a cancelled order is an error', C, 'if answer.status_code not in (200, 400, 404):', 'if answer.status_code != 200:'),
)  # fmt: skip


def caught(bug: Bug) -> str:
    """Return what the kit says about a seeded bug; the empty text where it notices nothing."""
    with tempfile.TemporaryDirectory(prefix="seeded-") as folder:
        shutil.copytree(ROOT / "plugins", Path(folder) / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
        file = Path(folder) / "plugins" / "mudrex" / bug.file
        source = file.read_text(encoding="utf-8")
        assert bug.text in source, f"{bug.name}: {bug.file} has no {bug.text!r} any more"
        file.write_text(source.replace(bug.text, bug.instead, 1), encoding="utf-8")
        command = [sys.executable, __file__, folder]
        told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=folder)
        lines = told.stdout.strip().splitlines()
        return (lines[-1] if lines else told.stderr.strip().splitlines()[-1]) if told.returncode else ""


def check_copy(folder: str) -> int:
    """Run the kit against the copy in ``folder``, case by case; 1 at the first that fails."""
    sys.path[:0] = [folder, str(ROOT)]
    import trio

    from plugins.mudrex import default_settings
    from plugins.mudrex.adapter import MudrexAdapter, MudrexSettings
    from plugins.mudrex.simulator.server import Simulator, serve
    from rexalgo import Secret
    from rexalgo.testing import ExchangeUnderTest, check_exchange_adapter, exchange_cases

    async def run() -> int:
        simulator = Simulator(None, latency_s=0.0, per_s=0, fill_s=(0.05, 0.2))
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve, simulator, 0)
            for number, _ in exchange_cases():
                adapter = MudrexAdapter(
                    MudrexSettings.parse(
                        {**default_settings, "base_url": f"http://127.0.0.1:{port}/fapi", "orders_per_s": 100, "reads_per_s": 100}
                    )
                )
                key = Secret(f"sim-{number}")
                report = await check_exchange_adapter(
                    ExchangeUnderTest(adapter, {"secret": key}, {}, "", {"secret": Secret("bad-key")}), number
                )
                if report.failures:
                    print(f"{number}: {report.failures[0].detail[:150]}")
                    nursery.cancel_scope.cancel()
                    return 1
            nursery.cancel_scope.cancel()
        return 0

    return trio.run(run)


def main() -> int:
    """Try every bug and print what caught it."""
    missed = []
    for bug in BUGS:
        what = caught(bug)
        print(f"{'caught' if what else 'MISSED'}  {bug.name}" + (f": {what}" if what else ""), flush=True)
        missed += [] if what else [bug.name]
    print(f"{len(BUGS) - len(missed)} of {len(BUGS)} seeded bugs were caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(check_copy(sys.argv[1]) if len(sys.argv) > 1 else main())
