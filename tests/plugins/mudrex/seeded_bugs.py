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


A, P, E = "adapter.py", "parsing.py", "errors.py"
BUGS: Final = (
    Bug("wrong side", A, '"order_type": order.position_side.value,\n            "quantity"', '"order_type": "LONG",\n            "quantity"'),
    Bug("quantity through float", A, '"quantity": plain(order.quantity),\n            "trade', '"quantity": str(float(order.quantity) * 1.0001)[:6],\n            "trade'),
    Bug("quantity doubled", A, '"quantity": plain(order.quantity),\n            "trade', '"quantity": plain(order.quantity * 2),\n            "trade'),
    Bug("no client order id", A, '            "client_order_id": order.client_order_id,\n', ""),
    Bug("wrong client order id", A, '"client_order_id": order.client_order_id,', '"client_order_id": "x" + order.client_order_id[:30],'),
    Bug("swallowed 5xx: taken for a refusal", E, '    return OutcomeUnknown(f"the exchange answered {status}: {text}")', "    return refusal(text)"),
    Bug("5xx taken for proof", E, '    return OutcomeUnknown(f"the exchange answered {status}: {text}")', "    return NotExecuted(text)"),
    Bug("429 taken for a refusal", E, "NOT_TAKEN: Final = frozenset({423, 429})", "NOT_TAKEN: Final = frozenset({423})"),
    Bug("401 is any refusal", E, 'if status == 401:\n        return Rejected(f"the exchange refused the key: {text}", RejectionKind.CREDENTIALS)\n    return ExchangeError', "if status == 999:\n        return Rejected(text)\n    return ExchangeError"),
    Bug("insufficient balance is any refusal", E, '("insufficient balance", RejectionKind.BALANCE)', '("insufficient balance", RejectionKind.OTHER)'),
    Bug("position not open is any refusal", E, '("position is not open", RejectionKind.POSITION_NOT_OPEN)', '("position is not open", RejectionKind.OTHER)'),
    Bug("retried POST", A, 'answer = await self._http.post("/v2/futures/order", params={"symbol": order.symbol}, json=body)', 'answer = await self._http.post("/v2/futures/order", params={"symbol": order.symbol}, json=body)\n        if answer.status_code >= 500:\n            answer = await self._http.post("/v2/futures/order", params={"symbol": order.symbol}, json=body)'),
    Bug("retried after a reset", A, 'answer = await self._http.post("/v2/futures/order", params={"symbol": order.symbol}, json=body)', 'try:\n            answer = await self._http.post("/v2/futures/order", params={"symbol": order.symbol}, json=body)\n        except httpx.ReadError:\n            answer = await self._http.post("/v2/futures/order", params={"symbol": order.symbol}, json=body)'),
    Bug("a reset is taken for a refusal", A, 'answer = await self._http.post("/v2/futures/order", params={"symbol": order.symbol}, json=body)', 'try:\n            answer = await self._http.post("/v2/futures/order", params={"symbol": order.symbol}, json=body)\n        except httpx.ReadError:\n            raise Rejected("reset") from None'),
    Bug("an unreadable acceptance is taken for a refusal", A, 'raise OutcomeUnknown("the exchange accepted the order and its answer cannot be read") from None', 'raise Rejected("cannot be read") from None'),
    Bug("wrong exchange order id", A, 'identifier = str(parsing.data_of(answer.content)["order_id"])', 'identifier = "1" + str(parsing.data_of(answer.content)["order_id"])'),
    Bug("leverage is not set", A, "            await self._set_leverage(path, order)\n", "            pass\n"),
    Bug("closes a part where all was meant", A, "        if not order.whole_position:\n", "        if True:\n            order = OrderIntent(order.client_order_id, order.symbol, order.side, order.position_side, Quantity(order.quantity / 2), order.order_type, order.leverage, reduce_only=True)\n"),
    Bug("closes all where a part was meant", A, "        if not order.whole_position:\n", "        if False:\n"),
    Bug("stop is not sent", A, '("is_stoploss", "stoploss_price", order.stop_loss),', '("is_stoploss", "stoploss_price", None),'),
    Bug("stop and target exchanged when they are set", A, '(("stoploss", protection.stop_loss), ("takeprofit", protection.take_profit))', '(("takeprofit", protection.stop_loss), ("stoploss", protection.take_profit))'),
    Bug("a removed target stays", A, "            if wanted is None and leg is not None:\n", "            if False and leg is not None:\n"),
    Bug("fills are read as floats", P, 'filled_quantity=Quantity(filled),', 'filled_quantity=float(filled),'),
    Bug("history comes oldest first", A, "key=_newest, reverse=True)", "key=_newest)"),
    Bug("history ignores since", A, "if each.symbol == symbol and each.created_at >= floor)", "if each.symbol == symbol)"),
    Bug("a failed reading is an empty account", A, "    if answer.status_code != 200:\n        raise judge_read(answer.status_code, answer.content)\n", "    if answer.status_code != 200:\n        return None if 'funds' not in path else {\"balance\": Decimal(1)}\n"),
    Bug("cancelled is read as filled", P, '"CANCELLED": OrderStatus.CANCELLED,', '"CANCELLED": OrderStatus.FILLED,'),
    Bug("short positions are read as long", P, 'side = PositionSide(str(row["order_type"]))', "side = PositionSide.LONG"),
    Bug("resting orders are not shown", A, "return AccountReport(parsing.balance(funds), positions, tuple(resting), as_of)", "return AccountReport(parsing.balance(funds), positions, (), as_of)"),
    Bug("local time without a zone", P, '.astimezone(UTC)\n\n\ndef instrument', ".replace(tzinfo=None)\n\n\ndef instrument"),
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
