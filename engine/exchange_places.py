"""What an exchange's plugin gets from the engine, and what the engine asks of it before any account is connected."""

from collections.abc import Mapping

from engine.config import Config
from engine.plugin_host import Plugins
from engine.ports.clock import Clock
from engine.ports.exchange import ExchangeContext
from engine.provisioning.declarations import ExchangePlace
from engine.transport import HttpClientFactory


def exchange_context(config: Config, plugins: Plugins, exchange: str, clock: Clock) -> ExchangeContext:
    """Return what a plugin's exchange gets from the engine; its own folder is made where it is not there yet."""
    provider = plugins.provider("exchange", exchange)
    folder = config.data_dir / "plugins" / provider.name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return ExchangeContext(provider.settings, clock, HttpClientFactory(), str(folder))


def exchange_places(config: Config, plugins: Plugins, clock: Clock) -> Mapping[str, ExchangePlace]:
    """Ask every enabled exchange which login it needs and whether real money is there."""
    return {
        name: ExchangePlace(adapter.credential_fields, adapter.environment(exchange_context(config, plugins, name, clock)))
        for name, adapter in plugins.exchanges.items()
    }
