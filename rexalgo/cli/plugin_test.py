"""``rexalgo plugin test NAME``: run the kits for everything that a plugin registers, and record the result."""

import os
import secrets
import tempfile
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from engine.actors.clock import SystemClock
from engine.config import Config
from engine.domain.account import Environment
from engine.kit_record import KIT_VERSION, KitRecord, write_record
from engine.plugin_api import PLUGIN_API_VERSION
from engine.plugin_host import Plugins, list_installed, load_plugins
from engine.ports.exchange import ExchangeAdapter, ExchangeContext
from engine.ports.secret import Secret
from engine.transport import HttpClientFactory
from rexalgo.cli.common import CliError, Exit, emit_json, json_option, read_config
from rexalgo.cli.serving import run_trio
from rexalgo.testing import (
    ExchangeUnderTest,
    KitReport,
    SourceUnderTest,
    Verdict,
    check_exchange_adapter,
    check_rate_limiter,
    check_signal_source,
)


@click.command("test")
@click.argument("name")
@click.option("--against", metavar="URL", help="Use this address as the plugin's base_url, such as a simulator's.")
@click.option("--secret-env", metavar="VARIABLE", help="Environment variable with the account's key. Default: a made-up one.")
@click.option("--read-only", is_flag=True, help="Place no order: for a look with real credentials.")
@click.option("--case", "only", metavar="NUMBER", help="Only this case of an exchange, such as E33; nothing is recorded.")
@json_option
@click.pass_obj
def test(where: Path, name: str, against: str | None, secret_env: str | None, read_only: bool, only: str | None, as_json: bool) -> None:
    """Run the kits for what plugin NAME registers: numbered promises, pass or fail, and what it can do.

    An exchange is traded on with smallest orders, on an account made for it: run this against a simulator or paper, never on an account
    that somebody uses. A pass is recorded for this version of the plugin; accounts with real money ask for it.
    """
    config = read_config(where)
    settings = {**config.plugin_settings.get(name, {}), **({"base_url": against} if against else {})}
    plugins = load_plugins([name], {**config.plugin_settings, name: settings})
    reports, environment = _run(plugins, name, secret_env, read_only, only)
    if not reports:
        raise CliError(f"plugin {name} registers nothing that a kit checks ({', '.join(plugins.loaded[0].provides)})", Exit.NOTHING)
    passed = all(each.passed for each in reports)
    file = None if only else write_record(config.data_dir, _record(plugins, name, environment, reports, read_only, passed))
    _tell(reports, environment, passed, file, config, as_json)
    if not passed:
        raise click.exceptions.Exit(Exit.NO)


def _run(plugins: Plugins, name: str, secret_env: str | None, read_only: bool, only: str | None) -> tuple[list[KitReport], str]:
    reports, environment = [], ""
    for adapter in plugins.exchanges.values():
        with tempfile.TemporaryDirectory(prefix="kit-") as folder:
            under_test, where = _exchange(adapter, plugins, name, secret_env, read_only, folder)
            environment = where.label
            reports.append(run_trio(lambda under_test=under_test: check_exchange_adapter(under_test, only)))  # type: ignore[misc]
    if only is None:
        reports += [check_rate_limiter(lambda each=each: type(each)()) for each in plugins.limiters.values()]  # type: ignore[misc]
        reports += _sources(plugins, name)
    return reports, environment


def _exchange(
    adapter: ExchangeAdapter, plugins: Plugins, name: str, secret_env: str | None, read_only: bool, folder: str
) -> tuple[ExchangeUnderTest, Environment]:  # fmt: skip
    settings = plugins.settings(name)
    environment = adapter.environment(ExchangeContext(settings, SystemClock(), HttpClientFactory(), folder))
    if environment is Environment.LIVE and not read_only:
        raise CliError(
            f"{adapter.name} is LIVE with these settings: the kit would trade with real money. Give --against URL of a simulator, or "
            "--read-only",
            Exit.REFUSED,
        )
    given = os.environ.get(secret_env, "") if secret_env else f"kit-{secrets.token_hex(8)}"
    if not given:
        raise CliError(f"--secret-env: expected a key in the environment variable {secret_env}, found nothing", Exit.USAGE)
    fields = [each.name for each in adapter.credential_fields]
    wrong = None if environment is Environment.PAPER else {each: Secret(f"bad-{secrets.token_hex(8)}") for each in fields}
    return ExchangeUnderTest(adapter, {each: Secret(given) for each in fields}, settings, folder, wrong, read_only), environment


def _sources(plugins: Plugins, name: str) -> list[KitReport]:
    """Check webhook sources whose module tells how a sender signs: ``sign_for_kit(secret, body, at)`` and ``body_for_kit``."""
    module = import_module(next(each.module for each in list_installed() if each.name == name).partition(":")[0])
    sign, body = getattr(module, "sign_for_kit", None), getattr(module, "body_for_kit", None)
    if sign is None or body is None:
        return []
    return [check_signal_source(SourceUnderTest(each, sign, body)) for each in plugins.webhook_sources.values()]


def _record(plugins: Plugins, name: str, environment: str, reports: list[KitReport], read_only: bool, passed: bool) -> KitRecord:
    loaded = plugins.loaded[0]
    failed = tuple(each.number for report in reports for each in report.failures)
    cases = sum(1 for report in reports for each in report.results if each.verdict is not Verdict.SKIPPED)
    return KitRecord(
        name, loaded.distribution, loaded.version, KIT_VERSION, PLUGIN_API_VERSION, datetime.now(UTC).isoformat(), environment, read_only,
        passed, cases, failed,
    )  # fmt: skip


def _tell(reports: list[KitReport], environment: str, passed: bool, file: Path | None, config: Config, as_json: bool) -> None:
    if as_json:
        emit_json({"passed": passed, "environment": environment, "record": None if file is None else str(file), "kit_version": KIT_VERSION,
                   "reports": [_json(each) for each in reports]})  # fmt: skip
        return
    for report in reports:
        click.echo(f"{report.kind} {report.name}" + (f" [{environment}]" if environment else ""))
        for each in report.results:
            click.echo(f"  {each.verdict.value:<8}{each.number}  {each.promise}")
            if each.detail:
                click.echo(f"            {each.detail}")
        if report.capabilities:
            click.echo("  it says that it can: " + ", ".join(f"{name} {value}" for name, value in report.capabilities.items()))
        ran = [each for each in report.results if each.verdict is not Verdict.SKIPPED]
        click.echo(f"  {len(ran) - len(report.failures)} of {len(ran)} cases pass, {len(report.results) - len(ran)} skipped")
    click.echo(("PASSED" if passed else "FAILED") + ("" if file is None else f"; recorded in {file}"))


def _json(report: KitReport) -> dict[str, Any]:
    cases = [
        {"number": each.number, "promise": each.promise, "verdict": each.verdict.value, "detail": each.detail} for each in report.results
    ]
    return {"kind": report.kind, "name": report.name, "cases": cases, "capabilities": dict(report.capabilities)}
