"""Call a plugin so that whatever it raises ends nothing but that call."""

from collections.abc import Awaitable
from typing import TypeVar

import trio

from engine.domain.errors import RexAlgoError

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
