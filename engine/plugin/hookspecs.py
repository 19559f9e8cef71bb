"""The five hooks: each is called once, synchronously, at start, and registers plain typed objects.

A hook receives the plugin's own settings (the ``[plugin.NAME]`` section of the config) and a
``register`` function. Raise ``InvalidValue`` for a setting that cannot work: start-up stops and
names the plugin and the field. Registering two things under one name is refused. A misspelt hook
name is refused when the plugin is loaded.
"""

from collections.abc import Callable, Mapping

import pluggy

from engine.ports.exchange import ExchangeAdapter
from engine.ports.notifier import Notifier
from engine.ports.personal_channel import PersonalChannel
from engine.ports.rate_limiter import RateLimiter
from engine.ports.signal_source import StreamSource, WebhookSource

PROJECT = "rexalgo"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_exchanges(
    register: Callable[[ExchangeAdapter], None], settings: Mapping[str, object]
) -> None:
    """Register exchange adapters. Making an adapter must not connect anywhere."""


@hookspec
def register_signal_sources(
    register: Callable[[WebhookSource | StreamSource], None], settings: Mapping[str, object]
) -> None:
    """Register signal sources: an object with ``authenticate`` is a webhook source, one with
    ``run`` a stream source.
    """


@hookspec
def register_rate_limiters(
    register: Callable[[RateLimiter], None], settings: Mapping[str, object]
) -> None:
    """Register rate limiters; config names which one the engine uses."""


@hookspec
def register_notifiers(
    register: Callable[[Notifier], None], settings: Mapping[str, object]
) -> None:
    """Register notifiers; every registered one gets every alert."""


@hookspec
def register_channels(
    register: Callable[[PersonalChannel], None], settings: Mapping[str, object]
) -> None:
    """Register personal channels; every person of the installation may connect each of them."""
