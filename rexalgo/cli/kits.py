"""Run the test kits for ``rexalgo plugin test``."""

import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path

from engine.actors.clock import SystemClock
from engine.domain.account import Environment
from engine.domain.errors import InvalidValue
from engine.domain.network import LOOPBACK
from engine.plugin.api import PLUGIN_API_VERSION
from engine.plugin.host import PluginError, Plugins, load_plugins
from engine.plugin.kit_record import KIT_VERSION, KitRecord
from engine.ports.exchange import ExchangeAdapter, ExchangeContext
from engine.ports.secret import Secret
from engine.transport import HttpClientFactory
from rexalgo.cli.common import CliError, Exit
from rexalgo.cli.installed import installed
from rexalgo.cli.process import run_trio
from rexalgo.testing import (
    CaseResult,
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
    exchange_cases,
)


@dataclass(frozen=True, slots=True)
class Line:
    """How a kit reaches an exchange: credentials (environment variable by field), recordings."""

    credentials: Mapping[str, str]
    read_only: bool = False
    record: Path | None = None
    recorded: Path | None = None

    def clients(self, hidden: list[str]) -> RecordedAnswers | RecordingClients | None:
        """Return the factory of HTTP clients, or None for the engine's own."""
        if self.recorded is not None:
            return RecordedAnswers(self.recorded)
        return (
            None
            if self.record is None
            else RecordingClients(HttpClientFactory(reach=LOOPBACK), self.record, hidden)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A request to run the kits of one plugin, with callbacks for the start of a kit and each
    result.
    """

    name: str
    settings: Mapping[str, object]
    line: Line
    only: str | None = None
    stop_at_first: bool = False
    begin: Callable[[str, str, str], None] = lambda kind, name, environment: None
    tell: Callable[[CaseResult], None] = lambda result: None

    def load(self, **changes: object) -> Plugins:
        """Load the plugin again, with ``changes`` to its settings."""
        return load_plugins([self.name], {self.name: {**self.settings, **changes}})


def run_kits(run: Run) -> tuple[list[KitReport], str, Plugins]:
    """Run the kits for everything that the plugin registers.

    Return the reports, the environment of the last exchange, and the loaded plugin.
    """
    plugins = run.load()
    if run.only is not None and (run.only not in dict(exchange_cases()) or not plugins.exchanges):
        raise CliError(
            "--case: expected a case number of an exchange kit, such as E33, for a plugin with an "
            f"exchange, found {run.only}",
            Exit.USAGE,
        )
    reports, environment = [], ""
    for adapter in plugins.exchanges.values():
        with tempfile.TemporaryDirectory(prefix="kit-") as folder:
            under_test, where = _exchange(adapter, plugins, run, folder)
            environment = where.label
            run.begin("exchange", adapter.name, environment)
            check = partial(
                check_exchange_adapter,
                under_test,
                run.only,
                stop_at_first=run.stop_at_first,
                tell=run.tell,
            )
            reports.append(run_trio(check))
    if run.only is None:
        for name in plugins.limiters:
            reports.append(
                _report(run, check_rate_limiter(lambda name=name: run.load().limiters[name]))  # type: ignore[misc]
            )
        reports += [_report(run, each) for each in _sources(plugins, run.name)]
    if not reports:
        raise CliError(_nothing(plugins, run.name), Exit.NOTHING)
    return reports, environment, plugins


def _report(run: Run, report: KitReport) -> KitReport:
    run.begin(report.kind, report.name, "")
    for each in report.results:
        run.tell(each)
    return report


def _nothing(plugins: Plugins, name: str) -> str:
    provides = ", ".join(plugins.loaded[0].provides)
    if plugins.webhook_sources or plugins.stream_sources:
        return (
            f"plugin {name} provides {provides}, but its module has neither sign_for_kit and "
            "body_for_kit (for a webhook source) nor params_for_kit (for a stream source); see "
            "docs/plugin-source.md"
        )
    return f"plugin {name} provides {provides}: there is no kit for that"


def _exchange(
    adapter: ExchangeAdapter, plugins: Plugins, run: Run, folder: str
) -> tuple[ExchangeUnderTest, Environment]:
    settings = plugins.settings(run.name)
    environment = adapter.environment(
        ExchangeContext(settings, SystemClock(), HttpClientFactory(reach=LOOPBACK), folder)
    )
    if environment is Environment.LIVE and not run.line.read_only:
        raise CliError(
            f"{adapter.name} is LIVE with these settings: the kit would trade with real money. "
            "Give --against with the URL of a simulator on this machine, or give --read-only and "
            "--credential to read a real account without placing an order",
            Exit.REFUSED,
        )
    given = _credentials(adapter, run.line, environment)
    fields = [each.name for each in adapter.credential_fields]
    wrong = (
        None
        if environment is Environment.PAPER
        else {each: Secret(f"bad-{secrets.token_hex(8)}") for each in fields}
    )
    clients = run.line.clients([each.reveal() for each in given.values()])
    there = (
        {"adapter_at": partial(_adapter_at, run, adapter.name)}
        if "base_url" in plugins.loaded[0].defaults
        else {}
    )
    return ExchangeUnderTest(
        adapter=adapter,
        credentials=given,
        settings=settings,
        data_dir=folder,
        wrong_credentials=wrong,
        read_only=run.line.read_only,
        http=clients,
        **there,
    ), environment


def _adapter_at(run: Run, name: str, url: str) -> ExchangeAdapter:
    try:
        return run.load(base_url=url).exchanges[name]
    except PluginError as error:
        raise InvalidValue(
            f"plugin.{run.name}.base_url", "an address that the plugin takes", error.wrong
        ) from error


def _credentials(
    adapter: ExchangeAdapter, line: Line, environment: Environment
) -> Mapping[str, Secret]:
    """Return the credentials: all from the environment, or all invented, for a simulator."""
    fields = [each.name for each in adapter.credential_fields]
    if not line.credentials and line.recorded is None and environment is Environment.LIVE:
        raise CliError(
            f"{adapter.name} is LIVE: expected {_usage(fields)}, found no credential", Exit.USAGE
        )
    if not line.credentials:
        invented = f"kit-{secrets.token_hex(8)}"
        return {each: Secret(invented) for each in fields}
    mismatched = [
        *(each for each in line.credentials if each not in fields),
        *(each for each in fields if each not in line.credentials),
    ]
    if mismatched:
        raise CliError(
            f"--credential: expected each field of {adapter.name} once: {_usage(fields)}; missing "
            f"or unknown: {', '.join(mismatched)}",
            Exit.USAGE,
        )
    empty = [variable for variable in line.credentials.values() if not os.environ.get(variable)]
    if empty:
        raise CliError(
            f"--credential: expected a value in the environment variable {', '.join(empty)}, "
            "found nothing",
            Exit.USAGE,
        )
    return {field: Secret(os.environ[variable]) for field, variable in line.credentials.items()}


def _usage(fields: list[str]) -> str:
    return " ".join(f"--credential {each}=VARIABLE" for each in fields)


def _sources(plugins: Plugins, name: str) -> list[KitReport]:
    """Run the kits of signal sources.

    A webhook source is checked if its module has ``sign_for_kit(secret, body, at)`` and
    ``body_for_kit``; a stream source if its module has ``params_for_kit``, parameters that are
    valid.
    """
    module = import_module(installed(name).module.partition(":")[0])
    sign, body = getattr(module, "sign_for_kit", None), getattr(module, "body_for_kit", None)
    reports = []
    if sign is not None and body is not None:
        reports += [
            check_signal_source(SourceUnderTest(each, sign, body))
            for each in plugins.webhook_sources.values()
        ]
    params = getattr(module, "params_for_kit", None)
    if params is not None:
        for each in plugins.stream_sources.values():
            reports.append(run_trio(partial(check_stream_source, StreamUnderTest(each, params))))
    return reports


def record_of(
    plugins: Plugins, name: str, environment: str, reports: list[KitReport], read_only: bool
) -> KitRecord:
    """Return the record of a run."""
    loaded = plugins.loaded[0]
    failed = tuple(each.number for report in reports for each in report.failures)
    cases = sum(
        1 for report in reports for each in report.results if each.verdict is not Verdict.SKIPPED
    )
    return KitRecord(
        plugin=name,
        distribution=loaded.distribution,
        version=loaded.version,
        code=loaded.code,
        kit_version=KIT_VERSION,
        api_version=PLUGIN_API_VERSION,
        at=datetime.now(UTC).isoformat(),
        environment=environment,
        read_only=read_only,
        passed=all(each.passed for each in reports),
        cases=cases,
        failed=failed,
    )
