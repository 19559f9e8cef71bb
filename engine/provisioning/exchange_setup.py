"""What an exchange's plugin gets from the engine, and what the engine asks of it before any account
is connected.
"""

from collections.abc import Mapping

from engine.domain.account import Environment
from engine.plugin.host import Plugins
from engine.plugin.kit_record import why_unproven
from engine.ports.clock import Clock
from engine.ports.exchange import ExchangeContext
from engine.provisioning.declarations import ExchangePlace
from engine.settings.config import Config
from engine.settings.files import make_folder
from engine.transport import HttpClientFactory


def exchange_context(
    config: Config, plugins: Plugins, exchange: str, clock: Clock
) -> ExchangeContext:
    """Return the context of an exchange's plugin; its own folder is created if missing."""
    provider = plugins.provider("exchange", exchange)
    folder = config.data_dir / "plugins" / provider.name
    make_folder(folder)
    http = HttpClientFactory(reach=config.outgoing.reach)
    return ExchangeContext(provider.settings, clock, http, str(folder))


def why_refused(config: Config, plugins: Plugins, exchange: str, environment: Environment) -> str:
    """Return why accounts of an exchange are not accepted, or nothing. Real money needs a proven
    adapter, or the operator's decision.
    """
    if environment is not Environment.LIVE or config.plugins.allow_untested:
        return ""
    provider = plugins.provider("exchange", exchange)
    why = why_unproven(config.data_dir, provider.name, provider.version, provider.code)
    return why and (
        f"an exchange without real money ({exchange} is LIVE with these settings, and its adapter "
        f"has no recorded proof here: {why}; run "
        f"rexalgo plugin test {provider.name} against a simulator; plugins.allow_untested = true "
        "accepts that there is none, and makes "
        "every order your own test)"
    )


def exchange_setup(config: Config, plugins: Plugins, clock: Clock) -> Mapping[str, ExchangePlace]:
    """Ask every enabled exchange which login it needs and whether it trades real money."""
    places = {}
    for name, adapter in plugins.exchanges.items():
        environment = adapter.environment(exchange_context(config, plugins, name, clock))
        places[name] = ExchangePlace(
            adapter.credential_fields, environment, why_refused(config, plugins, name, environment)
        )
    return places
