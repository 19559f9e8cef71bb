"""Settings: ``config/default.toml`` < ``rexalgo.toml`` < environment, read once into a frozen,
typed ``Config``.

What must always hold: every key is known and every value is inside its bounds, or nothing starts;
all errors are reported at once, each with file, key, expected and found; a secret comes from the
environment, ``.env`` or ``NAME_FILE`` only and is never printed. This file does not know the
plugins: their sections are passed on (``engine.plugin.host`` checks them).
"""

import os
import tomllib
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Final

from engine.domain.errors import InvalidValue, UnusableFile
from engine.domain.network import Network, Reach
from engine.domain.subscription import RiskLimits, parse_limits
from engine.ports.secret import Secret
from engine.settings import rules
from engine.settings.secrets import (
    ENVIRONMENT,
    SECRETS,
    SecretPlace,
    place_of,
    read_env_file,
    read_secrets,
)

FILE_NAME: Final = "rexalgo.toml"
DEFAULTS: Final = "config/default.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """Where the web server listens and its public address. ``public_url`` is "" or has no trailing
    slash.
    """

    host: str
    port: int
    public_url: str
    tls_certificate: Path | None
    tls_key: Path | None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    live_page: bool
    sign_up: str


@dataclass(frozen=True, slots=True)
class LedgerConfig:
    """The path of the ledger (absolute)."""

    path: Path


@dataclass(frozen=True, slots=True)
class BackupConfig:
    """The engine's own backups: the interval in hours (0: none), how many are kept, their folder
    (absolute), and the public key that encrypts them ("" for none).
    """

    every_hours: int
    keep: int
    folder: Path
    public_key: str


@dataclass(frozen=True, slots=True)
class LogConfig:
    """How the server logs: the form of a record, the lowest level, and a file beside stderr (None:
    none), which is renamed at ``file_mib`` and of which ``files`` older ones are kept.
    """

    form: str
    level: str
    file: Path | None
    file_mib: int
    files: int


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """The file with the token that /metrics asks for; None: only this machine may ask."""

    token_file: Path | None


@dataclass(frozen=True, slots=True)
class PluginsConfig:
    """Which plugins are loaded, in order, which registered rate limiter is used, which webhook
    source makes the endpoints that bots sign for, and whether LIVE accounts are accepted without
    proof.
    """

    enabled: tuple[str, ...]
    allow_untested: bool
    rate_limiter: str
    webhook_source: str


@dataclass(frozen=True, slots=True)
class OutgoingConfig:
    """Which addresses may be called although they are not public."""

    internal: tuple[Network, ...]

    @property
    def reach(self) -> Reach:
        """Return every address that may be called."""
        return Reach(self.internal)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """The engine's durations (seconds) and counts."""

    entry_age_s: int
    price_age_s: int
    send_deadline_s: int
    claims_unsent_max: int
    reconcile_active_s: int
    reconcile_idle_s: int
    not_confirmed_after_s: int
    resting_entry_s: int
    unprotected_s: int
    breaker_entries_per_minute: int
    breaker_refusals: int
    webhook_rate_per_minute: int
    trading_day_zone: str


@dataclass(frozen=True, slots=True)
class OperatorConfig:
    """Who operates this installation, which notifiers they read, and the address that is fetched
    every minute while the engine works.
    """

    name: str
    contact: str
    alerts: tuple[str, ...]
    heartbeat_url: str


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets; None if not set."""

    jwt_secret: Secret | None
    encryption_key: Secret | None

    def require_jwt_secret(self) -> None:
        """Raise InvalidValue without JWT_SECRET: the two processes of one folder read the same
        session cookies.
        """
        if self.jwt_secret is None:
            raise InvalidValue(
                "JWT_SECRET",
                "a secret that both processes of this folder have (run rexalgo init, or set it in "
                "the environment or as JWT_SECRET_FILE)",
                "none",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration. ``origins`` is the source of each value by dotted key; ``key_place``
    is where the root keys are stored, ``session_key_place`` where JWT_SECRET is.
    """

    web: WebConfig
    ledger: LedgerConfig
    backup: BackupConfig
    log: LogConfig
    metrics: MetricsConfig
    plugins: PluginsConfig
    outgoing: OutgoingConfig
    engine: EngineConfig
    limits: RiskLimits
    operator: OperatorConfig
    plugin_settings: Mapping[str, Mapping[str, object]]
    secrets: Secrets
    origins: Mapping[str, str]
    folder: Path
    key_place: SecretPlace | None
    session_key_place: SecretPlace | None

    @property
    def data_dir(self) -> Path:
        """Return the ledger's folder, which contains everything that must persist."""
        return self.ledger.path.parent


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One configuration error: the file, the dotted key, what was expected and what was found."""

    file: str
    key: str
    expected: str
    found: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}: {self.key}" if self.key else self.file
        tail = "" if self.found is None else f", found {self.found}"
        return f"{place}: expected {self.expected}{tail}"


class ConfigErrors(UnusableFile):
    """Raised with every error of the configuration at once: correct each and start again."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = tuple(errors)


Rule = Callable[[object, Path], object]
"""Takes a raw value and the folder of rexalgo.toml, returns the typed value; raises InvalidValue.
"""

_SECTIONS: Final[Mapping[str, tuple[type, Mapping[str, Rule]]]] = {
    "web": (
        WebConfig,
        {
            "host": rules.host,
            "port": rules.whole(0, 65_535),
            "public_url": rules.public_url,
            "tls_certificate": rules.optional_path,
            "tls_key": rules.optional_path,
            "trusted_proxies": rules.networks,
            "live_page": rules.switch,
            "sign_up": rules.one_of("invite", "open", "closed"),
        },
    ),
    "ledger": (LedgerConfig, {"path": rules.path}),
    "backup": (
        BackupConfig,
        {
            "every_hours": rules.whole(0, 8_760),
            "keep": rules.whole(1, 1_000),
            "folder": rules.path,
            "public_key": rules.public_key,
        },
    ),
    "log": (
        LogConfig,
        {
            "form": rules.one_of("text", "json"),
            "level": rules.one_of("debug", "info", "warning", "error"),
            "file": rules.new_file,
            "file_mib": rules.whole(1, 10_000),
            "files": rules.whole(1, 1_000),
        },
    ),
    "metrics": (MetricsConfig, {"token_file": rules.token_file}),
    "plugins": (
        PluginsConfig,
        {
            "enabled": rules.names,
            "allow_untested": rules.switch,
            "rate_limiter": rules.name,
            "webhook_source": rules.name,
        },
    ),
    "outgoing": (OutgoingConfig, {"internal": rules.internal_networks}),
    "engine": (
        EngineConfig,
        {
            "entry_age_s": rules.whole(1, 3_600),
            "price_age_s": rules.whole(1, 300),
            "send_deadline_s": rules.whole(1, 60),
            "claims_unsent_max": rules.whole(1, 1_000),
            "reconcile_active_s": rules.whole(5, 3_600),
            "reconcile_idle_s": rules.whole(5, 86_400),
            "not_confirmed_after_s": rules.whole(5, 3_600),
            "resting_entry_s": rules.whole(60, 2_592_000),
            "unprotected_s": rules.whole(5, 3_600),
            "breaker_entries_per_minute": rules.whole(1, 100_000),
            "breaker_refusals": rules.whole(2, 1_000),
            "webhook_rate_per_minute": rules.whole(1, 100_000),
            "trading_day_zone": rules.zone,
        },
    ),
    "operator": (
        OperatorConfig,
        {
            "name": rules.line(80),
            "contact": rules.line(200),
            "alerts": rules.name_or_names,
            "heartbeat_url": rules.heartbeat_url,
        },
    ),
}
_TOP_LEVEL: Final = (*_SECTIONS, "limits", "plugin")


def load_config(where: Path, environ: Mapping[str, str]) -> Config:
    """Read the configuration of a folder (its rexalgo.toml may be absent) or of one explicit file
    (which must exist).

    ``environ`` is usually ``os.environ``; it overrides the ``.env`` beside rexalgo.toml. Raises
    ConfigErrors with everything that is wrong.
    """
    errors: list[ConfigError] = []
    config = _load(where, environ, errors)
    if errors:
        raise ConfigErrors(errors)
    return config


def load_sound_part(where: Path, environ: Mapping[str, str]) -> Config:
    """Read the same with the default in place of whatever is wrong: for what must reach a running
    server whatever became of its files.
    """
    return _load(where, environ, [])


def _load(where: Path, environ: Mapping[str, str], errors: list[ConfigError]) -> Config:
    folder = (where if where.is_dir() else where.parent).absolute()
    own_file = folder / FILE_NAME if where.is_dir() else where.absolute()
    own = _read_toml(own_file, errors) if own_file.exists() or not where.is_dir() else {}
    defaults = tomllib.loads(files("config").joinpath("default.toml").read_text(encoding="utf-8"))
    reader = _Reader(
        file=str(own_file), own=own, defaults=defaults, folder=folder, errors=errors, origins={}
    )
    reader.refuse_unknown(own, _TOP_LEVEL, "")
    sections = {name: reader.section(name) for name in _SECTIONS}
    limits = reader.limits()
    settings = reader.plugin_settings()
    secrets, places = _secrets(folder, environ, reader.origins, errors)
    _check_together(sections, reader.defaulted, str(own_file), errors)
    return Config(
        **sections,  # type: ignore[arg-type]  # each section was built by its own class in _SECTIONS, under its own name
        limits=limits,
        plugin_settings=settings,
        secrets=secrets,
        origins=MappingProxyType(reader.origins),
        folder=folder,
        key_place=places["ENCRYPTION_KEY"],
        session_key_place=places["JWT_SECRET"],
    )


def check_exposure(config: Config) -> list[str]:
    """Return why this configuration must not serve: one sentence for each reason, none if it may."""
    web = config.web
    if _is_loopback(web.host) or web.tls_certificate is not None or web.trusted_proxies:
        return []
    return [
        f"web.host is {web.host}, reachable from other machines, without TLS: set "
        "web.tls_certificate and web.tls_key, "
        'or name the proxy that ends TLS in web.trusted_proxies, or set web.host = "127.0.0.1"'
    ]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name may resolve to anything


def _read_toml(file: Path, errors: list[ConfigError]) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        errors.append(ConfigError(str(file), "", "a readable file", error.strerror))
    except UnicodeDecodeError:
        errors.append(ConfigError(str(file), "", "text in UTF-8"))
    except tomllib.TOMLDecodeError as error:
        errors.append(ConfigError(str(file), "", "valid TOML", str(error)))
    return {}


def _secrets(
    folder: Path, environ: Mapping[str, str], origins: dict[str, str], errors: list[ConfigError]
) -> tuple[Secrets, Mapping[str, SecretPlace | None]]:
    from_file: Mapping[str, str] = {}
    env_file = folder / ".env"
    try:
        from_file = read_env_file(env_file) if env_file.exists() else {}
    except InvalidValue as error:
        errors.append(ConfigError(str(env_file), error.field, error.expected, error.found))
    sources = [(ENVIRONMENT, environ), (str(env_file), from_file)]
    by_name, problems = read_secrets(sources, folder)
    errors.extend(
        ConfigError(origin, error.field, error.expected, error.found) for origin, error in problems
    )
    for name in SECRETS:
        origins[f"secrets.{name.lower()}"] = by_name[name][0] if name in by_name else "missing"
    secrets = Secrets(
        **{name.lower(): by_name[name][1] if name in by_name else None for name in SECRETS}
    )
    return secrets, {name: place_of(name, sources, folder) for name in SECRETS}


def _check_together(
    sections: Mapping[str, object], defaulted: Set[str], file: str, errors: list[ConfigError]
) -> None:
    """Check settings that depend on each other; a section of which a value was wrong was reported
    already.
    """
    web, engine = (None if each in defaulted else sections[each] for each in ("web", "engine"))
    if isinstance(web, WebConfig) and (web.tls_certificate is None) != (web.tls_key is None):
        missing = "tls_key" if web.tls_key is None else "tls_certificate"
        errors.append(
            ConfigError(
                file,
                f"web.{missing}",
                "both web.tls_certificate and web.tls_key, or neither",
                "only one of them",
            )
        )
    if isinstance(engine, EngineConfig) and engine.reconcile_idle_s < engine.reconcile_active_s:
        errors.append(
            ConfigError(
                file,
                "engine.reconcile_idle_s",
                f"at least engine.reconcile_active_s ({engine.reconcile_active_s})",
                str(engine.reconcile_idle_s),
            )
        )


@dataclass(slots=True)
class _Reader:
    """A reader of section after section that collects origins and errors, and which sections have
    a default in place of a wrong value.
    """

    file: str
    own: Mapping[str, object]
    defaults: Mapping[str, object]
    folder: Path
    errors: list[ConfigError]
    origins: dict[str, str]
    defaulted: set[str] = field(default_factory=set)

    def refuse_unknown(
        self, table: Mapping[str, object], known: tuple[str, ...], prefix: str
    ) -> None:
        """Report every unknown key, with the nearest known one."""
        for key in table:
            if key not in known:
                near = get_close_matches(key, known, 1)
                hint = (
                    f"a known setting (did you mean {prefix}{near[0]}?)"
                    if near
                    else "one of " + ", ".join(known)
                )
                self.errors.append(ConfigError(self.file, f"{prefix}{key}", hint, "an unknown key"))

    def table(self, key: str, holder: Mapping[str, object]) -> Mapping[str, object]:
        """Return a sub-table, empty if absent; report anything else in its place."""
        value = holder.get(key, {})
        if isinstance(value, Mapping):
            return value
        self.errors.append(ConfigError(self.file, key, f"a section [{key}]", repr(value)[:80]))
        return {}

    def section(self, name: str) -> object:
        """Build one section; report what is wrong with it and take the default instead."""
        kind, field_rules = _SECTIONS[name]
        own, defaults = self.table(name, self.own), self.table(name, self.defaults)
        self.refuse_unknown(own, tuple(field_rules), f"{name}.")
        values: dict[str, object] = {}
        for setting in (each.name for each in fields(kind)):
            source, file = (own, self.file) if setting in own else (defaults, DEFAULTS)
            key, rule = f"{name}.{setting}", field_rules[setting]
            self.origins[key] = file
            try:
                values[setting] = rule(source.get(setting), self.folder)
            except InvalidValue as error:
                self.errors.append(
                    ConfigError(file, f"{key}{error.field}", error.expected, error.found)
                )
                self.defaulted.add(name)
                values[setting] = rule(defaults.get(setting), self.folder)
        return kind(**values)

    def limits(self) -> RiskLimits:
        """Read the operator's caps one by one, so that each wrong one is reported."""
        own = self.table("limits", self.own)
        self.refuse_unknown(own, tuple(each.name for each in fields(RiskLimits)), "limits.")
        good: dict[str, object] = {}
        for name in (each.name for each in fields(RiskLimits)):
            self.origins[f"limits.{name}"] = self.file if name in own else DEFAULTS
            if name in own:
                try:
                    parse_limits({name: own[name]})
                except InvalidValue as error:
                    self.errors.append(
                        ConfigError(self.file, error.field, error.expected, error.found)
                    )
                else:
                    good[name] = own[name]
        return parse_limits(good)

    def plugin_settings(self) -> Mapping[str, Mapping[str, object]]:
        """Pass on each [plugin.NAME] section unchanged."""
        sections: dict[str, Mapping[str, object]] = {}
        for name, values in self.table("plugin", self.own).items():
            if not isinstance(values, Mapping):
                self.errors.append(
                    ConfigError(
                        self.file, f"plugin.{name}", f"a section [plugin.{name}]", repr(values)[:80]
                    )
                )
                continue
            sections[name] = MappingProxyType(dict(values))
            self.origins.update({f"plugin.{name}.{key}": self.file for key in values})
        return MappingProxyType(sections)


def describe(config: Config) -> dict[str, object]:
    """List every effective value by dotted key, in plain JSON types; secrets only as "set" or
    "missing".
    """
    listed: dict[str, object] = {}
    for name in (*_SECTIONS, "limits"):
        section = getattr(config, name)
        for each in fields(section):
            listed[f"{name}.{each.name}"] = _plain(getattr(section, each.name))
    for each in fields(config.secrets):
        listed[f"secrets.{each.name}"] = (
            "missing" if getattr(config.secrets, each.name) is None else "set"
        )
    return listed


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return (
        value
        if value is None or isinstance(value, bool | int | str)
        else os.fspath(value)
        if isinstance(value, Path)
        else str(value)
    )
