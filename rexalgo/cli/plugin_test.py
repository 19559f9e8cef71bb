"""``rexalgo plugin test NAME``: run the kits for everything that a plugin registers, and record the
result.
"""

from dataclasses import replace
from pathlib import Path

import click

from rexalgo.cli.common import CliError, Exit, emit_json, json_option, read_config


def _pair(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for each in values:
        field, separator, variable = each.partition("=")
        if not (field and separator and variable):
            raise CliError(
                f"--credential: expected FIELD=VARIABLE, such as secret=ACMEX_SECRET, found {each}",
                Exit.USAGE,
            )
        pairs[field] = variable
    return pairs


@click.command("test")
@click.argument("name")
@click.option(
    "--against",
    metavar="URL",
    help="Use this address as the plugin's base_url, such as the address of a simulator.",
)
@click.option(
    "--credential",
    "credentials",
    metavar="FIELD=VARIABLE",
    multiple=True,
    callback=_pair,
    help=(
        "Take a credential FIELD from an environment variable; once per field. Default: "
        "invented credentials."
    ),
)
@click.option(
    "--read-only",
    is_flag=True,
    help="Place no order, for example on a real account. This proves nothing about orders.",
)
@click.option(
    "--case",
    "only",
    metavar="NUMBER",
    help="Run only this exchange case, such as E33; records nothing.",
)
@click.option("--stop-at-first", is_flag=True, help="Stop at the first failing exchange case.")
@click.option(
    "--record",
    "record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write requests and answers to this file.",
)
@click.option(
    "--recorded",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Take answers from such a file, not the network; places no order, records no pass.",
)
@json_option
@click.pass_obj
def test(
    where: Path,
    name: str,
    against: str | None,
    credentials: dict[str, str],
    read_only: bool,
    only: str | None,
    stop_at_first: bool,
    record: Path | None,
    recorded: Path | None,
    as_json: bool,
) -> None:
    """Run the test kits for everything that plugin NAME registers: numbered cases that pass or
    fail, with what to do.

    The exchange kit places the smallest possible orders. Run it against a simulator or paper, never
    on an account in use. A pass is recorded for this version and code of the plugin; accounts with
    real money require one.
    """
    # imported here because the kits import the engine, which --help does not need
    from engine.plugin.kit_record import write_record
    from rexalgo.cli import kit_output, kits
    from rexalgo.cli.installed import installed

    if record and recorded:
        raise CliError("expected --record or --recorded, found both", Exit.USAGE)
    installed(name)
    config = read_config(where)
    settings = {
        **config.plugin_settings.get(name, {}),
        **({"base_url": against} if against else {}),
    }
    line = kits.Line(credentials, read_only or recorded is not None, record, recorded)
    printer = kit_output.CasePrinter()
    wanted = kits.Run(
        name=name, settings=settings, line=line, only=only, stop_at_first=stop_at_first
    )
    reports, environment, plugins = kits.run_kits(
        wanted if as_json else replace(wanted, begin=printer.begin, tell=printer.print)
    )
    file = None
    if not (only or recorded):
        result = kits.record_of(
            plugins,
            name=name,
            environment=environment,
            reports=reports,
            read_only=line.read_only,
        )
        file = str(write_record(config.data_dir, result))
    passed = all(each.passed for each in reports)
    if as_json:
        emit_json(kit_output.as_json(reports, environment, passed, file))
    else:
        command = _command(
            name,
            against=against,
            credentials=credentials,
            read_only=read_only,
            only=only,
            recorded=recorded,
        )
        kit_output.print_summary(reports, command, file)
    if not passed:
        raise click.exceptions.Exit(Exit.NO)


def _command(
    name: str,
    against: str | None,
    credentials: dict[str, str],
    read_only: bool,
    only: str | None,
    recorded: Path | None,
) -> str:
    """Return this command line, without --case unless it was given."""
    words = ["rexalgo plugin test", name, *(["--against", against] if against else [])]
    for field, variable in credentials.items():
        words += ["--credential", f"{field}={variable}"]
    words += ["--read-only"] if read_only else []
    words += ["--recorded", str(recorded)] if recorded else []
    return " ".join(words + (["--case", only] if only else []))
