"""Load the plugins that the config names, one at a time, and collect what they register.

What must always hold: a plugin that is not enabled is never imported; a plugin with any fault stops
the start with its name, its distribution, what is wrong and what to do; two things of one kind
never share a name. Hooks run here, once. This file knows nothing about what the registered objects
do.
"""

import ast
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pluggy

from engine.domain.errors import RexAlgoError
from engine.plugin import hookspecs
from engine.plugin.api import PLUGIN_API_VERSION
from engine.ports.exchange import ExchangeAdapter
from engine.ports.notifier import Notifier
from engine.ports.personal_channel import PersonalChannel
from engine.ports.rate_limiter import RateLimiter
from engine.ports.signal_source import StreamSource, WebhookSource

GROUP: Final = "rexalgo.plugins"
NO_DISTRIBUTION: Final = "(given by the caller)"


class PluginError(RexAlgoError):
    """Raised when a plugin cannot be used: fix it, or disable it and start again."""

    def __init__(self, name: str, distribution: str, wrong: str, do: str | None = None) -> None:
        self.name = name
        self.distribution = distribution
        self.wrong = wrong
        self.do = do or f"fix the plugin, or run: rexalgo plugin disable {name}"
        super().__init__(f"plugin {name} from {distribution}: {wrong}; {self.do}")


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """One installed entry point; nothing of it has been imported."""

    name: str
    distribution: str
    version: str
    module: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPlugin:
    """What one loaded plugin provides, such as ``exchange paper``, and its settings (with its
    defaults merged in).

    ``code`` is a hash of the Python files of its package, empty if the caller supplied it.
    """

    name: str
    distribution: str
    version: str
    provides: tuple[str, ...]
    settings: Mapping[str, object]
    defaults: Mapping[str, object]
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugins:
    """Everything that the enabled plugins registered, by registered name."""

    exchanges: Mapping[str, ExchangeAdapter]
    webhook_sources: Mapping[str, WebhookSource]
    stream_sources: Mapping[str, StreamSource]
    limiters: Mapping[str, RateLimiter]
    notifiers: Mapping[str, Notifier]
    channels: Mapping[str, PersonalChannel]
    loaded: tuple[LoadedPlugin, ...]

    def settings(self, plugin: str) -> Mapping[str, object]:
        """Return the merged settings of a loaded plugin; raises KeyError if it is not loaded."""
        return {each.name: each.settings for each in self.loaded}[plugin]

    def provider(self, kind: str, registered: str) -> LoadedPlugin:
        """Return the plugin that registered a thing; raises KeyError.

        ``kind`` is "exchange", "signal source", "rate limiter", "notifier" or "channel".
        """
        return {thing: each for each in self.loaded for thing in each.provides}[
            f"{kind} {registered}"
        ]


def list_installed() -> tuple[InstalledPlugin, ...]:
    """List every installed plugin, by name; imports none of them. What was read is kept until a
    folder of the import path changes: installing or removing a package changes one.
    """
    changed = (Path(each).stat().st_mtime_ns for each in sys.path if Path(each).is_dir())
    return _list_installed((*sys.path, *changed))


@lru_cache(maxsize=1)
def _list_installed(_: tuple[str | int, ...]) -> tuple[InstalledPlugin, ...]:
    return tuple(
        sorted(
            (_described(point) for point in metadata.entry_points(group=GROUP)),
            key=lambda each: (each.name, each.distribution),
        )
    )


@lru_cache(maxsize=256)
def hooks_of(plugin: InstalledPlugin) -> tuple[str, ...]:
    """Return the hooks that the module of an installed plugin defines; nothing of it is imported.

    Empty where its source cannot be read.
    """
    parts = plugin.module.partition(":")[0].split(".")
    path: Sequence[str] | None = None
    origin: str | None = None
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        found = (each.find_spec(name, path) for each in sys.meta_path)
        spec = next((each for each in found if each is not None), None)
        if spec is None:
            return ()
        path, origin = spec.submodule_search_locations, spec.origin
    try:
        tree = ast.parse(Path(origin or "").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()
    functions = (each.name for each in tree.body if isinstance(each, ast.FunctionDef))
    return tuple(each for each in functions if each in _HOOKS)


def load_plugins(
    enabled: Iterable[str],
    settings: Mapping[str, Mapping[str, object]],
    extra_modules: Mapping[str, object] = MappingProxyType({}),
) -> Plugins:
    """Load the enabled plugins in order and call their hooks.

    ``settings`` are the [plugin.NAME] sections by plugin name. ``extra_modules`` maps plugin names
    to modules (or objects) that replace an installed one, for tests and benches. Raises PluginError
    for the first plugin that is wrong.
    """
    registry = _Registry()
    loaded: list[LoadedPlugin] = []
    for name in enabled:
        source, module = _find(name, extra_modules)
        if any(each.name == name for each in loaded):
            raise PluginError(
                name,
                source.distribution,
                "it is enabled twice",
                "name it once in [plugins] enabled",
            )
        loaded.append(_load(source, module, settings.get(name, {}), registry))
    return Plugins(
        exchanges=MappingProxyType(registry.exchanges),
        webhook_sources=MappingProxyType(registry.webhook_sources),
        stream_sources=MappingProxyType(registry.stream_sources),
        limiters=MappingProxyType(registry.limiters),
        notifiers=MappingProxyType(registry.notifiers),
        channels=MappingProxyType(registry.channels),
        loaded=tuple(loaded),
    )


def _described(point: metadata.EntryPoint) -> InstalledPlugin:
    if point.dist is None:
        return InstalledPlugin(point.name, "(unknown)", "", point.value)
    about = point.dist.metadata  # a file that is read once; name and version would each read it
    return InstalledPlugin(point.name, about["Name"], about["Version"], point.value)


def _find(name: str, extra: Mapping[str, object]) -> tuple[InstalledPlugin, object]:
    if name in extra:
        return InstalledPlugin(name, NO_DISTRIBUTION, "", name), extra[name]
    points = list(metadata.entry_points(group=GROUP, name=name))
    if not points:
        near = get_close_matches(name, [each.name for each in list_installed()], 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise PluginError(
            name,
            "(not installed)",
            f"no installed package has this plugin{hint}",
            f"install it, or run: rexalgo plugin disable {name}",
        )
    source = _described(points[0])
    if len(points) > 1:
        both = " and ".join(_described(point).distribution for point in points)
        raise PluginError(
            name,
            both,
            "more than one installed package has a plugin of this name",
            "uninstall one of them",
        )
    try:
        return source, points[0].load()
    # foreign code: whatever it raises while being imported is the plugin's failure, and named so
    except Exception as error:
        raise PluginError(
            name, source.distribution, f"importing {source.module} failed: {_told(error)}"
        ) from error


def _load(
    source: InstalledPlugin, module: object, given: Mapping[str, object], registry: "_Registry"
) -> LoadedPlugin:
    def refuse(wrong: str) -> PluginError:
        return PluginError(source.name, source.distribution, wrong)

    version = getattr(module, "rexalgo_api_version", None)
    if version != PLUGIN_API_VERSION:
        raise refuse(f"rexalgo_api_version must be {PLUGIN_API_VERSION}, was {version!r}")
    for wrong in _wrong_hooks(module):
        raise refuse(wrong)
    defaults, merged = _merged(source, module, given)
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    provides: list[str] = []
    try:
        manager.register(module, source.name)
        for hook, register in registry.hooks(source.name, provides):
            getattr(manager.hook, hook)(register=register, settings=merged)
    except (
        Exception
    ) as error:  # foreign code: whatever a hook raises is the plugin's failure, and named so
        raise refuse(_told(error)) from error
    if not provides:
        raise refuse(
            "it registers nothing: mark at least one of "
            + ", ".join(_HOOKS)
            + " with @hookimpl and call register in it"
        )
    return LoadedPlugin(
        name=source.name,
        distribution=source.distribution,
        version=source.version,
        provides=tuple(provides),
        settings=merged,
        defaults=defaults,
        code=_code(source),
    )


def _code(source: InstalledPlugin) -> str:
    """Hash the Python files beside the plugin's module: the same version with other files is
    another plugin.
    """
    module = sys.modules.get(source.module.partition(":")[0])
    file = getattr(module, "__file__", None)
    if file is None or source.distribution == NO_DISTRIBUTION:
        return ""
    is_alone = "." not in source.module.partition(":")[0] and not hasattr(module, "__path__")
    files = [Path(file)] if is_alone else sorted(Path(file).parent.rglob("*.py"))
    digest = sha256()
    for each in files:
        digest.update(
            f"{each.relative_to(Path(file).parent).as_posix()}\n{each.stat().st_size}\n".encode()
            + each.read_bytes()
        )
    return digest.hexdigest()


def _merged(
    source: InstalledPlugin, module: object, given: Mapping[str, object]
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    defaults = getattr(module, "default_settings", {})
    if not isinstance(defaults, Mapping):
        raise PluginError(
            source.name,
            source.distribution,
            f"default_settings must be a mapping, was {type(defaults).__name__}",
        )
    unknown = [key for key in given if key not in defaults]
    if unknown:
        near = get_close_matches(unknown[0], list(defaults), 1)
        hint = (
            f"did you mean {near[0]}?" if near else "known are: " + (", ".join(defaults) or "none")
        )
        raise PluginError(
            source.name,
            source.distribution,
            f"unknown setting plugin.{source.name}.{unknown[0]} ({hint})",
            f"correct section [plugin.{source.name}] of rexalgo.toml (rexalgo plugin show "
            f"{source.name} lists the settings)",
        )
    return MappingProxyType(dict(defaults)), MappingProxyType({**defaults, **given})


_HOOKS: Final = tuple(name for name in vars(hookspecs) if name.startswith("register_"))
_MARK: Final = f"{hookspecs.PROJECT}_impl"


def _wrong_hooks(module: object) -> Iterator[str]:
    """Yield what is wrong with the hooks of a module: marked but unknown, or looking like a hook
    but unmarked.
    """
    for name in dir(module):
        member = getattr(module, name, None)
        mark = getattr(member, _MARK, None)
        if isinstance(mark, Mapping):
            hook = mark.get("specname") or name
            if hook not in _HOOKS:
                near = get_close_matches(hook, _HOOKS, 1)
                yield f"there is no hook {hook}" + (
                    f" (did you mean {near[0]}?)"
                    if near
                    else "; the hooks are " + ", ".join(_HOOKS)
                )
        elif name.startswith("register_") and callable(member):
            yield f"{name} looks like a hook and is not marked with @hookimpl"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1_000]


_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "exchange": ("title", "traits", "credential_fields", "environment", "market_data", "connect"),
    "rate limiter": ("reserve",),
    "notifier": ("deliver",),
    "channel": ("title", "fields", "calls_address_of_person", "repeats", "target", "shown", "send"),
    "webhook": ("new_secret", "authenticate", "parse"),
    "stream": ("check_params", "run"),
    "address": ("guide", "endpoint_settings", "ready_messages"),
}


@dataclass(slots=True)
class _Registry:
    """The collector of what hooks register; webhook and stream sources share one set of names."""

    exchanges: dict[str, ExchangeAdapter] = field(default_factory=dict)
    webhook_sources: dict[str, WebhookSource] = field(default_factory=dict)
    stream_sources: dict[str, StreamSource] = field(default_factory=dict)
    limiters: dict[str, RateLimiter] = field(default_factory=dict)
    notifiers: dict[str, Notifier] = field(default_factory=dict)
    channels: dict[str, PersonalChannel] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    def hooks(self, plugin: str, provides: list[str]) -> Iterator[tuple[str, Callable[..., None]]]:
        """Yield each hook with its ``register`` function, which records in ``provides`` what was
        registered.
        """

        def put(kind: str, shape: str, shelf: dict[str, object], thing: object) -> None:
            name = self._checked(kind, shape, thing)
            owner = self.owners.get(f"{kind} {name}")
            if owner is not None:
                raise ValueError(f"{kind} {name} is already registered by plugin {owner}")
            self.owners[f"{kind} {name}"] = plugin
            shelf[name] = thing
            provides.append(f"{kind} {name}")

        def source(thing: WebhookSource | StreamSource) -> None:
            if hasattr(thing, "authenticate"):
                put("signal source", "webhook", self.webhook_sources, thing)  # type: ignore[arg-type] # a shelf holds its own kind only
            else:
                put("signal source", "stream", self.stream_sources, thing)  # type: ignore[arg-type]  # as above

        def onto(kind: str, shelf: object) -> Callable[[object], None]:
            return lambda thing: put(kind, kind, shelf, thing)  # type: ignore[arg-type]  # as above

        yield "register_exchanges", onto("exchange", self.exchanges)
        yield "register_signal_sources", source
        yield "register_rate_limiters", onto("rate limiter", self.limiters)
        yield "register_notifiers", onto("notifier", self.notifiers)
        yield "register_channels", onto("channel", self.channels)

    def _checked(self, kind: str, shape: str, thing: object) -> str:
        name = getattr(thing, "name", None)
        if not isinstance(name, str) or not name.isidentifier():
            raise TypeError(f"a registered {kind} needs a name of a-z, 0-9 and _, was {name!r}")
        needed = _NEEDED[shape]
        if shape == "webhook" and any(hasattr(thing, each) for each in _NEEDED["address"]):
            needed += _NEEDED["address"]  # half of an AddressSource would be none without a word
        missing = [each for each in needed if not hasattr(thing, each)]
        if missing:
            raise TypeError(f"{kind} {name} has no " + ", ".join(missing))
        return name
