"""The endpoints that lower risk: each through the same service as its page.

Nothing here raises risk: no endpoint opens, resumes, agrees or lifts a limit, and services refuse
that to every token.
"""

from typing import Final

from engine.domain.person import Role
from engine.domain.token import TokenScope
from web.api.models import Deed
from web.api.table import Ask, Endpoint, post

DONE: Final = Deed(ok=True, repeated=False)
REPEATED: Final = Deed(ok=True, repeated=True)


async def pause_account(ask: Ask, account: str) -> Deed:
    """Stop new entries on an account, and cancel those that rest at the exchange; closes are still
    copied, and open positions stay.
    """
    await ask.services.following.pause(ask.user, account, once=ask.once)
    return DONE


async def pause_strategy(ask: Ask, account: str, strategy: str) -> Deed:
    """Stop new entries of one strategy on one account, and cancel those that rest at the exchange;
    its closes are still copied.
    """
    row = ask.services.following.account(ask.user, account)
    terms = ask.services.agreeing.strategy(ask.user, strategy)
    await ask.services.agreeing.pause(ask.user, row, terms, once=ask.once)
    return DONE


async def close_position(ask: Ask, account: str, symbol: str) -> Deed:
    """Close what the engine holds of one contract on an account, at the market; the strategy goes on
    with its next entry. It is closed when its row leaves the positions.
    """
    await ask.services.following.close(ask.user, account, symbol, once=ask.once)
    return DONE


async def flatten_account(ask: Ask, account: str) -> Deed:
    """Close everything that the engine opened on an account, and stop new entries. It is done when
    the account has no ``open_shares``.
    """
    await ask.services.following.flatten(ask.user, account, once=ask.once)
    return DONE


async def pause_own_strategy(ask: Ask, strategy: str) -> Deed:
    """Pause a strategy of yours as its master: its entries are not copied and those that rest are
    cancelled, its exits are copied, and its followers are informed.
    """
    await ask.services.studio.pause(ask.user, strategy, once=ask.once)
    return DONE


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    post("/accounts/<account>/pause", TokenScope.PAUSE, pause_account),
    post("/accounts/<account>/strategies/<strategy>/pause", TokenScope.PAUSE, pause_strategy),
    post("/accounts/<account>/positions/<symbol>/close", TokenScope.REDUCE, close_position),
    post("/accounts/<account>/flatten", TokenScope.REDUCE, flatten_account),
    post(
        "/studio/strategies/<strategy>/pause",
        TokenScope.PAUSE,
        pause_own_strategy,
        role=Role.MASTER,
    ),
)
