"""``rexalgo plugin test NAME``: run the kits for everything that a plugin registers, and record the result."""

from pathlib import Path

import click

from rexalgo.cli.common import CliError, Exit, json_option, read_config


@click.command("test")
@click.argument("name")
@click.option("--against", metavar="URL", help="Use this address as the plugin's base_url, such as a simulator's.")
@click.option("--secret-env", metavar="VARIABLE", help="Environment variable with the account's key. Default: a made-up one.")
@click.option("--read-only", is_flag=True, help="Place no order: for a look with real credentials.")
@click.option("--case", "only", metavar="NUMBER", help="Only this case of an exchange, such as E33; nothing is recorded.")
@click.option("--record", "record", type=click.Path(path_type=Path, dir_okay=False), help="Write requests and answers to this file.")
@click.option(
    "--recorded", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Answer from such a file instead of the network; places no order, records no pass.",
)  # fmt: skip
@json_option
@click.pass_obj
def test(
    where: Path, name: str, against: str | None, secret_env: str | None, read_only: bool, only: str | None, record: Path | None,
    recorded: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Run the kits for what plugin NAME registers: numbered promises, pass or fail, and what it can do.

    An exchange is traded on with smallest orders, on an account made for it: run this against a simulator or paper, never on an account
    that somebody uses. A pass is recorded for this version of the plugin; accounts with real money ask for it.
    """
    from engine.kit_record import write_record
    from engine.plugin_host import load_plugins
    from rexalgo.cli import kits  # here, because the kits import the engine, and --help needs neither

    config = read_config(where)
    settings = {**config.plugin_settings.get(name, {}), **({"base_url": against} if against else {})}
    plugins = load_plugins([name], {**config.plugin_settings, name: settings})
    if record and recorded:
        raise CliError("expected --record or --recorded, found both", Exit.USAGE)
    line = kits.Line(secret_env, read_only or recorded is not None, record, recorded)
    reports, environment = kits.run_kits(plugins, name, line, only)
    if not reports:
        raise CliError(f"plugin {name} registers nothing that a kit checks ({', '.join(plugins.loaded[0].provides)})", Exit.NOTHING)
    passed = all(each.passed for each in reports)
    file = (
        None if only or recorded else write_record(config.data_dir, kits.record_of(plugins, name, environment, reports, read_only, passed))
    )
    kits.tell(reports, environment, passed, file, as_json)
    if not passed:
        raise click.exceptions.Exit(Exit.NO)
