"""The ``mudrex`` exchange: USDT futures, isolated margin, one position per contract. README.md
describes its quirks.
"""

from collections.abc import Callable, Mapping

from plugins.mudrex.adapter import MudrexAdapter
from plugins.mudrex.settings import DEFAULTS, MudrexSettings
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
    register(MudrexAdapter(MudrexSettings.parse(settings)))
