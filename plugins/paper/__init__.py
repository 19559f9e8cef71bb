"""The ``paper`` exchange: a simulated venue with its own durable journal, for practice and tests
without money.

Everything it reports is labelled PAPER. It imports only ``rexalgo``, trio and the standard library,
as any plugin would.
"""

from collections.abc import Callable, Mapping

from plugins.paper.adapter import PaperAdapter
from plugins.paper.settings import DEFAULTS, PaperSettings
from rexalgo import ExchangeAdapter, hookimpl

rexalgo_api_version = 1
default_settings: Mapping[str, object] = DEFAULTS


@hookimpl
def register_exchanges(
    register: Callable[[ExchangeAdapter], None], settings: Mapping[str, object]
) -> None:
    """Check the settings and register the adapter. A wrong setting stops the start, not the first
    order.
    """
    register(PaperAdapter(PaperSettings.parse(settings)))
