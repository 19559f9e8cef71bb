"""Record the prices that the feeds have read, for looking back: beside the orders, never before one.

A price is on the tape once it was read, and in the ledger within five minutes. What a crash loses is
a gap of at most that length; an ordered stop loses nothing.
"""

import logging
from functools import partial
from typing import Final

import trio

from engine.actors.shared import Shared
from engine.decisions.recorded_prices import pack
from engine.domain.identifiers import Symbol
from engine.ledger import Database, LedgerError
from engine.ledger.open_shares import symbols_held
from engine.ledger.people import strategies
from engine.ledger.prices import forget_prices, write_blocks
from engine.market.tape import Tape

_LOG: Final = logging.getLogger("rexalgo.prices")
EVERY_S: Final = 300.0
STOP_WITHIN_S: Final = 1.0
FORGOTTEN_AT_ONCE: Final = 200


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
        named = _named(shared.ledger.db)
        for feed in shared.feeds.values():  # at once: a strategy may be made while orders go first
            feed.keep(named)
        for exchange, feed in shared.feeds.items():
            for symbol in sorted(feed.tape.symbols):
                await shared.calm()
                await _record_one(shared, exchange, feed.tape, symbol)
        await _forget(shared)
    except LedgerError as error:
        _LOG.warning("prices could not be recorded, and are recorded later: %s", error)


def _named(db: Database) -> frozenset[Symbol]:
    """Read which contracts a strategy lists, or somebody holds."""
    listed = frozenset(symbol for each in strategies(db) for symbol in each.symbols)
    return listed | symbols_held(db)


async def _forget(shared: Shared) -> None:
    """Remove what is old in small writes: after days without an engine there is much of it."""
    now, gone = shared.clock.now(), FORGOTTEN_AT_ONCE
    while gone == FORGOTTEN_AT_ONCE:
        await shared.calm()
        gone = await shared.ledger.write(partial(forget_prices, now=now, limit=FORGOTTEN_AT_ONCE))


async def _record_one(shared: Shared, exchange: str, tape: Tape, symbol: Symbol) -> None:
    blocks = [(block, pack(block.read())) for block in tape.blocks(symbol)]
    await shared.ledger.write(
        lambda db: write_blocks(db, exchange=exchange, symbol=symbol, blocks=blocks)
    )
    tape.forget(symbol, [block for block, _ in blocks])
