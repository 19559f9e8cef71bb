"""The ``mudrex`` exchange: USDT futures, isolated margin, one position per contract. See README.md of this folder for its quirks."""

from collections.abc import Callable, Mapping

from plugins.mudrex.adapter import MudrexAdapter, MudrexSettings
from rexalgo import ExchangeAdapter, InvalidValue, hookimpl

rexalgo_api_version = 1
default_settings: Mapping[str, object] = {"base_url": "https://trade.mudrex.com/fapi", "orders_per_s": 5, "reads_per_s": 5}


@hookimpl
def register_exchanges(register: Callable[[ExchangeAdapter], None], settings: Mapping[str, object]) -> None:
    """Register the one adapter; settings are checked here, so that a wrong one stops start-up and not the first order."""
    for name in settings:
        if name not in default_settings:
            raise InvalidValue(f"plugin.mudrex.{name}", "one of " + ", ".join(default_settings), name)
    register(MudrexAdapter(MudrexSettings.parse({**default_settings, **settings})))
