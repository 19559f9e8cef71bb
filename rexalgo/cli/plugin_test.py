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
    help="Use this address as the plugin's base_url, such as a simulator's.",
)
@click.option(
    "--credential",
    "credentials",
    metavar="FIELD=VARIABLE",
    multiple=True,
    callback=_pair,
    help=(
        "Environment variable with one of the account's credentials; once for each. Default: "
        "made-up ones."
    ),
)
@click.option(
    "--read-only",
    is_flag=True,
    help="Place no order: for a look at a real account. It proves nothing about orders.",
)
@click.option(
    "--case",
    "only",
    metavar="NUMBER",
    help="Only this case of an exchange, such as E33; nothing is recorded.",
)
@click.option(
    "--stop-at-first", is_flag=True, help="End with the first case of an exchange that fails."
)
@click.option(
    "--record",
    "record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write requests and answers to this file.",
)
@click.option(
    "--recorded",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Answer from such a file instead of the network; places no order, records no pass.",
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
    """Run the kits for what plugin NAME registers: numbered promises, pass or fail, what to do, and
    what it can do.

    An exchange is traded on with smallest orders, on an account made for it: run this against a
    simulator or paper, never on an account that somebody uses. A pass is recorded for this version
    and code of the plugin; accounts with real money ask for it.
    """
    from engine.plugin.kit_record import write_record
    from rexalgo.cli import (
        kit_words,
        kits,
    )  # here, because the kits import the engine, and --help needs neither
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
    words = kit_words.Telling()
    wanted = kits.Run(
        name=name, settings=settings, line=line, only=only, stop_at_first=stop_at_first
    )
    reports, environment, plugins = kits.run_kits(
        wanted if as_json else replace(wanted, begin=words.begin, tell=words.tell)
    )
    passed = all(each.passed for each in reports)
    file = (
        None
        if only or recorded
        else write_record(
            config.data_dir,
            kits.record_of(
                plugins,
                name=name,
                environment=environment,
                reports=reports,
                read_only=line.read_only,
            ),
        )
    )
    if as_json:
        emit_json(
            kit_words.as_json(reports, environment, passed, None if file is None else str(file))
        )
    else:
        kit_words.tell_end(
            reports,
            " ".join(
                _again(
                    name,
                    against=against,
                    credentials=credentials,
                    read_only=read_only,
                    only=only,
                    recorded=recorded,
                )
            ),
        )
        click.echo(
            ("PASSED" if passed else "FAILED")
            + (f"; recorded in {file}" if file is not None else "; nothing was recorded")
        )
    if not passed:
        raise click.exceptions.Exit(Exit.NO)


def _again(
    name: str,
    against: str | None,
    credentials: dict[str, str],
    read_only: bool,
    only: str | None,
    recorded: Path | None,
) -> list[str]:
    """Return the command to type again."""
    words = ["rexalgo plugin test", name, *(["--against", against] if against else [])]
    for field, variable in credentials.items():
        words += ["--credential", f"{field}={variable}"]
    words += ["--read-only"] if read_only else []
    words += ["--recorded", str(recorded)] if recorded else []
    return words + (["--case", only] if only else [])
