"""The ``paper`` exchange: a simulated venue with its own durable journal, for trying and proving
everything without money.

Everything it reports is labelled PAPER. It imports ``rexalgo``, trio and the standard library only,
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
    """Register the one adapter; settings are checked here, so that a wrong one stops start-up and
    not the first order.
    """
    register(PaperAdapter(PaperSettings.parse(settings)))
