"""The checklist of ``rexalgo doctor --production``: what a place needs before strangers trust it with
keys. Each item is a ``Finding``; a wrong one says what to type.
"""

import ctypes
import stat
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib import metadata
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from engine.actors.clock import SystemClock
from engine.control import call
from engine.domain.errors import RexAlgoError
from engine.domain.network import what_internal
from engine.plugin.host import list_installed
from engine.recovery.ledger_place import why_unfit
from engine.settings.config import Config
from rexalgo.cli.certificate import read_certificate
from rexalgo.cli.finding import Finding
from rexalgo.cli.process import run_trio

BACKUP_HOURS_MAX: Final = 36
CERTIFICATE_ENDS_SOON: Final = timedelta(days=14)
_NEARBY: Final = (".localhost", ".local", ".internal", ".home.arpa", ".test", ".invalid")
_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronized


def settings_findings(config: Config) -> Iterator[Finding]:
    """Yield the items that need no ledger. They come before anything opens it, because opening it
    makes its files private.
    """
    yield from _tls(config)
    yield from _public_url(config)
    yield from _secrets(config)
    yield from _modes(config)
    yield _time()
    yield from _licences(config)
    yield from _untested(config)


def ledger_findings(config: Config) -> Iterator[Finding]:
    """Yield the items that are read from the ledger: backups, alerts, second factors."""
    if not config.ledger.path.exists() or why_unfit(config):
        yield Finding("wrong", "ledger: there is none to check the rest by", "rexalgo serve")
        return
    for check in (_backups, _alerts, _second_factors):
        try:
            yield from check(config)
        except RexAlgoError as error:
            yield Finding(
                "wrong", f"{check.__name__.strip('_')}: cannot be read: {error}", "rexalgo doctor"
            )


def _tls(config: Config) -> Iterator[Finding]:
    web = config.web
    if web.tls_certificate is not None:
        yield _certificate(config, web.tls_certificate)
    elif web.trusted_proxies:
        yield Finding("ok", f"TLS: by the proxy in {', '.join(map(str, web.trusted_proxies))}")
    else:
        yield Finding(
            "wrong",
            "TLS: neither a certificate nor a proxy that ends TLS is set",
            'set web.trusted_proxies = ["127.0.0.1"] for a proxy here (deploy/ has one), or '
            "web.tls_certificate and web.tls_key",
        )


def _certificate(config: Config, file: Path) -> Finding:
    web, what = config.web, f"TLS: the certificate {file}"
    host = "" if web.trusted_proxies else urlsplit(web.public_url).hostname or ""
    try:
        read = read_certificate(file, web.tls_key, host)
    except OSError as error:
        return Finding(
            "wrong",
            f"{what} cannot be served: {error}",
            "give web.tls_certificate and web.tls_key that belong together, the key without a "
            "password",
        )
    now, until = SystemClock().now(), f"{read.ends:%Y-%m-%d %H:%M} UTC"
    if read.ends <= now:
        return Finding(
            "wrong", f"{what} expired at {until}", "replace it, then start the server again"
        )
    if read.begins > now:
        return Finding(
            "wrong",
            f"{what} is not valid before {read.begins:%Y-%m-%d %H:%M} UTC",
            "serve another one; it is valid from then on",
        )
    if not read.is_for_host:
        names = ", ".join(read.names[:5]) or "no name"
        return Finding(
            "wrong",
            f"{what} is for {names}, not for the host of web.public_url",
            f"get one for {host}, or correct web.public_url",
        )
    if read.ends - now < CERTIFICATE_ENDS_SOON:
        return Finding(
            "warn", f"{what} ends at {until}", "replace it before, then start the server again"
        )
    return Finding("ok", f"{what} is valid until {until}")


def _public_url(config: Config) -> Iterator[Finding]:
    url = urlsplit(config.web.public_url)
    if url.scheme == "https" and is_public(url.hostname or ""):
        yield Finding("ok", f"public_url: {config.web.public_url}")
    else:
        yield Finding(
            "wrong",
            f"public_url: expected https:// and a public name, found {config.web.public_url or 'nothing'}",
            'set web.public_url = "https://NAME", the address that people and bots use',
        )


def is_public(host: str) -> bool:
    """Return whether a host may be meant for other machines on the internet: a public address, or
    a name with a dot whose ending is not reserved for machines nearby (RFC 6761, 6762, 8375).
    """
    try:
        return not what_internal(ip_address(host))
    except ValueError:
        name = host.rstrip(".").lower()
        return "." in name and not name.endswith(_NEARBY)


def do_without(config: Config, name: str) -> str:
    """Return what to do without a secret that only a copy brings back; empty if a new one does."""
    if name != "ENCRYPTION_KEY" or not config.ledger.path.exists():
        return ""
    return "put back the copy of .env that you keep elsewhere: no other key opens the ledger"


def _secrets(config: Config) -> Iterator[Finding]:
    places = (("ENCRYPTION_KEY", config.key_place), ("JWT_SECRET", config.session_key_place))
    for name, place in places:
        if place is None:
            yield Finding(
                "wrong",
                f"secrets: {name} is not set",
                do_without(config, name) or "rexalgo init --dir NEW, and copy its .env",
            )
        elif place.file is None:
            yield Finding(
                "wrong",
                f"secrets: {name} is in the environment, which children and crash reports inherit",
                f"put it into .env (chmod 600), or into a file that {name}_FILE names",
            )
        else:
            yield Finding("ok", f"secrets: {name} from {place.file}")


def _modes(config: Config) -> Iterator[Finding]:
    private = [config.data_dir, config.ledger.path, config.web.tls_key]
    private += [each.file for each in (config.key_place, config.session_key_place) if each]
    if config.data_dir.exists():
        private += [each for each in config.data_dir.iterdir() if each.name != "plugins"]
    loose = sorted({each for each in private if each is not None and _mode(each) & 0o077})
    for each in loose:
        wanted = "700" if each.is_dir() else "600"
        yield Finding(
            "wrong", f"modes: {each} has mode {_mode(each):04o}", f"chmod {wanted} {each}"
        )
    settings = config.folder / "rexalgo.toml"
    if _mode(settings) & 0o022:
        yield Finding("wrong", f"modes: others may write {settings}", f"chmod go-w {settings}")
    elif not loose:
        yield Finding("ok", "modes: nobody else reads the secrets or writes the settings")


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode) if file.exists() else 0


def clock_is_synchronized() -> bool | None:
    """Ask the system whether its clock follows a time source; None if it cannot say."""
    if sys.platform != "linux":
        return None
    timex = ctypes.create_string_buffer(512)  # struct timex; modes 0 only reads
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    return None if state < 0 else state != _TIME_ERROR


def _time() -> Finding:
    match clock_is_synchronized():
        case True:
            return Finding("ok", "time: the clock follows a time source")
        case None:
            return Finding(
                "warn",
                "time: this system does not say whether its clock is right",
                "check it by hand",
            )
        case False:
            return Finding(
                "wrong",
                "time: the clock follows no time source; signatures and orders depend on it",
                "sudo timedatectl set-ntp true   (or install chrony)",
            )


def _licences(config: Config) -> Iterator[Finding]:
    enabled = [each for each in list_installed() if each.name in config.plugins.enabled]
    bare = [each for each in enabled if not licence_of(each.distribution)]
    for each in bare:
        yield Finding(
            "wrong",
            f"licences: plugin {each.name} ({each.distribution}) names no licence",
            f"ask its author for one, or rexalgo plugin disable {each.name}",
        )
    if not bare:
        yield Finding("ok", f"licences: each of {len(enabled)} plugins names one")


def licence_of(distribution: str) -> str:
    """Return the licence that a distribution names, or carries as a file; empty if none."""
    try:
        about = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return ""
    for name in ("License-Expression", "License", "License-File", "Classifier"):
        for text in map(str, about.metadata.get_all(name) or ()):
            if name != "Classifier" or text.startswith("License ::"):
                return text.partition("\n")[0]
    return ""


def _untested(config: Config) -> Iterator[Finding]:
    if config.plugins.allow_untested:
        yield Finding(
            "wrong",
            "plugins: plugins.allow_untested lets accounts with real money use an unproven plugin",
            "set plugins.allow_untested = false, then rexalgo plugin test NAME",
        )


def _asked(config: Config, method: str, **params: object) -> dict[str, Any]:
    return run_trio(lambda: call(config, method, params))


def _backups(config: Config) -> Iterator[Finding]:
    age = _asked(config, "system")["backup_age_hours"]
    if age is not None and age <= BACKUP_HOURS_MAX:
        yield Finding("ok", f"backups: the newest is {age} hours old")
    else:
        yield Finding(
            "wrong",
            "backups: there is none here"
            if age is None
            else f"backups: the newest is {age} hours old",
            "rexalgo backup, every day; keep the copies on another machine, apart from .env",
        )


def _alerts(config: Config) -> Iterator[Finding]:
    told = _asked(config, "alerts")
    channels = [each for each in config.operator.alerts if each != "log"]
    if not channels:
        yield Finding(
            "wrong",
            "alerts: they reach only the log, which nobody reads at night",
            'rexalgo plugin enable telegram, and operator.alerts = ["log", "telegram"]',
        )
        return
    tested = {each["subject"] for each in _asked(config, "audit", search="alert_tested")["audit"]}
    for name in channels:
        waiting = told["channels"][name]["waiting"]
        if waiting:
            yield Finding(
                "wrong",
                f"alerts: {waiting} wait to be told to {name}",
                f"rexalgo alert test {name}",
            )
        elif name not in tested:
            yield Finding(
                "wrong",
                f"alerts: nobody has tried whether {name} reaches a person",
                f"rexalgo alert test {name}",
            )
        else:
            yield Finding("ok", f"alerts: {name} was tried, and nothing waits")


def _second_factors(config: Config) -> Iterator[Finding]:
    users = _asked(config, "users")["users"]
    operators = [each for each in users if "operator" in each["roles"]]
    bare = [each["name"] for each in operators if not each["second_factor"]]
    for name in bare:
        yield Finding(
            "wrong",
            f"second factors: operator {name} has none",
            f"{name} signs in and sets one (rexalgo user link {name}), or rexalgo user role {name} "
            "operator --take",
        )
    if not operators:
        yield Finding(
            "wrong", "second factors: there is no operator", "rexalgo operator create NAME"
        )
    elif not bare:
        yield Finding("ok", f"second factors: each of {len(operators)} operators has one")
    if locked := [each["name"] for each in users if each["unusable_passkeys"]]:
        yield Finding(
            "warn",
            "second factors: passkeys that were copied, or made for another host than that of "
            f"web.public_url: {', '.join(locked[:5])}{', ...' if len(locked) > 5 else ''}",
            f"each signs in with a recovery code and replaces them, or: rexalgo user reset-factors "
            f"{locked[0]}",
        )
