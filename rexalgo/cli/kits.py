"""Run the kits for what plugins register; the engine's part of ``rexalgo plugin test``."""

import os
import secrets
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from engine.actors.clock import SystemClock
from engine.domain.account import Environment
from engine.kit_record import KIT_VERSION, KitRecord
from engine.plugin_api import PLUGIN_API_VERSION
from engine.plugin_host import Plugins, list_installed
from engine.ports.exchange import ExchangeAdapter, ExchangeContext
from engine.ports.secret import Secret
from engine.transport import HttpClientFactory
from rexalgo.cli.common import CliError, Exit, emit_json
from rexalgo.cli.serving import run_trio
from rexalgo.testing import (
    ExchangeUnderTest,
    KitReport,
    RecordedAnswers,
    RecordingClients,
    SourceUnderTest,
    StreamUnderTest,
    Verdict,
    check_exchange_adapter,
    check_rate_limiter,
    check_signal_source,
    check_stream_source,
)


@dataclass(frozen=True, slots=True)
class Line:
    """Say how the kit reaches an exchange: with which key, reading only or not, and whether answers go to a file or come from one."""

    secret_env: str | None = None
    read_only: bool = False
    record: Path | None = None
    recorded: Path | None = None

    def clients(self, secret: str) -> RecordedAnswers | RecordingClients | None:
        """Return what makes HTTP clients, None for the engine's own."""
        if self.recorded is not None:
            return RecordedAnswers(self.recorded)
        return None if self.record is None else RecordingClients(HttpClientFactory(), self.record, [secret])


def run_kits(plugins: Plugins, name: str, line: Line, only: str | None) -> tuple[list[KitReport], str]:
    """Run the kits for everything that the plugins register; returns the reports and the environment of the last exchange."""
    reports, environment = [], ""
    for adapter in plugins.exchanges.values():
        with tempfile.TemporaryDirectory(prefix="kit-") as folder:
            under_test, where = _exchange(adapter, plugins, name, line, folder)
            environment = where.label
            reports.append(run_trio(lambda under_test=under_test: check_exchange_adapter(under_test, only)))  # type: ignore[misc]
    if only is None:
        reports += [check_rate_limiter(lambda each=each: type(each)()) for each in plugins.limiters.values()]  # type: ignore[misc]
        reports += _sources(plugins, name)
    return reports, environment


def _exchange(
    adapter: ExchangeAdapter, plugins: Plugins, name: str, line: Line, folder: str
) -> tuple[ExchangeUnderTest, Environment]:  # fmt: skip
    settings = plugins.settings(name)
    environment = adapter.environment(ExchangeContext(settings, SystemClock(), HttpClientFactory(), folder))
    if environment is Environment.LIVE and not line.read_only:
        raise CliError(
            f"{adapter.name} is LIVE with these settings: the kit would trade with real money. Give --against URL of a simulator, or "
            "--read-only",
            Exit.REFUSED,
        )
    given = os.environ.get(line.secret_env, "") if line.secret_env else f"kit-{secrets.token_hex(8)}"
    if not given:
        raise CliError(f"--secret-env: expected a key in the environment variable {line.secret_env}, found nothing", Exit.USAGE)
    fields = [each.name for each in adapter.credential_fields]
    wrong = None if environment is Environment.PAPER else {each: Secret(f"bad-{secrets.token_hex(8)}") for each in fields}
    secrets_given = {each: Secret(given) for each in fields}
    return ExchangeUnderTest(adapter, secrets_given, settings, folder, wrong, line.read_only, line.clients(given)), environment


def _sources(plugins: Plugins, name: str) -> list[KitReport]:
    """Check webhook sources whose module tells how a sender signs (``sign_for_kit(secret, body, at)`` and ``body_for_kit``), and stream
    sources whose module gives parameters that work (``params_for_kit``)."""
    module = import_module(next(each.module for each in list_installed() if each.name == name).partition(":")[0])
    sign, body = getattr(module, "sign_for_kit", None), getattr(module, "body_for_kit", None)
    reports = []
    if sign is not None and body is not None:
        reports += [check_signal_source(SourceUnderTest(each, sign, body)) for each in plugins.webhook_sources.values()]
    params = getattr(module, "params_for_kit", None)
    if params is not None:
        for each in plugins.stream_sources.values():
            reports.append(run_trio(partial(check_stream_source, StreamUnderTest(each, params))))
    return reports


def record_of(plugins: Plugins, name: str, environment: str, reports: list[KitReport], read_only: bool, passed: bool) -> KitRecord:
    """Make the record of a run."""
    loaded = plugins.loaded[0]
    failed = tuple(each.number for report in reports for each in report.failures)
    cases = sum(1 for report in reports for each in report.results if each.verdict is not Verdict.SKIPPED)
    return KitRecord(
        name, loaded.distribution, loaded.version, KIT_VERSION, PLUGIN_API_VERSION, datetime.now(UTC).isoformat(), environment, read_only,
        passed, cases, failed,
    )  # fmt: skip


def tell(reports: list[KitReport], environment: str, passed: bool, file: Path | None, as_json: bool) -> None:
    """Print what was found."""
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
