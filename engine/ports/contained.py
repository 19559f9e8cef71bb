"""Call a plugin so that whatever it raises ends nothing but that call."""

import logging
from collections.abc import Awaitable
from decimal import Decimal
from typing import TypeVar

import trio

from engine.domain.errors import InvalidValue, RexAlgoError
from engine.domain.signal import SignalDraft
from engine.ports.signal_source import Authenticated, Delivery, WebhookSource

_LOG = logging.getLogger("rexalgo.ingress")
T = TypeVar("T")


async def contained(call: Awaitable[T], error_type: type[Exception] = RexAlgoError) -> T:
    """Wait for a call of a plugin; raise ``error_type`` for what is no Exception, such as SystemExit
    or another library's cancellation: it must end no other account and no other plugin.

    trio's cancellation and a person's interrupt are the engine's own and pass.
    """
    try:
        return await call
    except (Exception, trio.Cancelled, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        if isinstance(error, BaseExceptionGroup):
            own, _ = error.split((trio.Cancelled, KeyboardInterrupt))
            if own is not None:
                raise own from error
        raise error_type(f"the plugin raised {type(error).__name__}") from error


class SourceFailed(Exception):
    """Raised when a signal source raises what it must not, or returns no draft."""


def parsed(source: WebhookSource, delivery: Delivery, proof: Authenticated) -> SignalDraft:
    """Have a source parse a delivery; raises InvalidValue for a wrong body, and SourceFailed for a
    fault of the source's own.
    """
    try:
        draft = source.parse(delivery, proof)
        numbers = (draft.price, draft.leverage, draft.stop_loss, draft.take_profit)
        if not all(each is None or isinstance(each, Decimal) for each in numbers):
            raise TypeError("a price or leverage that is no Decimal")
    except InvalidValue:
        raise
    except Exception as error:
        _LOG.exception("the signal source %s failed on a delivery", source.name)
        raise SourceFailed(
            f"its signal source {source.name} failed on it ({type(error).__name__}); see the log"
        ) from error
    return draft
