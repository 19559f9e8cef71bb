"""Record the prices that the feeds have read, for looking back: beside the orders, never before one.

A price is on the tape once it was read, and in the ledger within five minutes. What a crash loses is
a gap of at most that length; an ordered stop loses nothing.
"""

import logging
from typing import Final

import trio

from engine.actors.shared import Shared
from engine.decisions.recorded_prices import pack
from engine.domain.identifiers import Symbol
from engine.ledger import LedgerError
from engine.ledger.prices import forget_prices, write_blocks
from engine.market.tape import Tape

_LOG: Final = logging.getLogger("rexalgo.prices")
EVERY_S: Final = 300.0
STOP_WITHIN_S: Final = 1.0


async def record_prices(shared: Shared) -> None:
    """Record until cancelled, and once more then."""
    try:
        while True:
            await trio.sleep(EVERY_S)
            await _record(shared)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + STOP_WITHIN_S):
            await _record(shared)


async def _record(shared: Shared) -> None:
    try:
        for exchange, feed in shared.feeds.items():
            for symbol in sorted(feed.tape.symbols):
                await shared.calm()
                await _record_one(shared, exchange, feed.tape, symbol)
        now = shared.clock.now()
        await shared.ledger.write(lambda db: forget_prices(db, now))
    except LedgerError as error:
        _LOG.warning("prices could not be recorded, and are recorded later: %s", error)


async def _record_one(shared: Shared, exchange: str, tape: Tape, symbol: Symbol) -> None:
    blocks = [(block, pack(block.read())) for block in tape.blocks(symbol)]
    await shared.ledger.write(
        lambda db: write_blocks(db, exchange=exchange, symbol=symbol, blocks=blocks)
    )
    tape.forget(symbol, [block for block, _ in blocks])
