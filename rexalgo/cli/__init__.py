"""The operator's command line: one file per command family, imported only when it is used.

Exit codes are stable: 0 done, 1 the answer is no or something is wrong, 2 usage or configuration
error, 3 refused because a file exists or the folder is locked, 4 not found. Answers go to stdout
(one JSON value with ``--json``), errors to stderr. To add a command, write ``rexalgo/cli/FILE.py``
with a click command and name it in ``_COMMANDS``.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

_COMMANDS: Final = {
    # name: (file in this folder, attribute, line in --help)
    "init": ("init", "init", "Write rexalgo.toml and .env for a new installation."),
    "config": ("config", "config", "Check the configuration and show the source of each value."),
    "plugin": ("plugin", "plugin", "List, show, enable and disable plugins."),
    "demo": ("demo", "demo", "Watch one signal become one copy per follower, on paper."),
    "serve": ("serve", "serve", "Run RexAlgo."),
    "provision": (
        "provision",
        "provision",
        "Declare masters, strategies and followers from a file.",
    ),
    "secret": ("secret", "secret", "Renew a strategy's webhook secret."),
    "signal": ("signal", "signal", "Sign and send a signal."),
    "api": ("api", "api", "Read, pause and reduce as a person with an API token."),
    "mcp": ("mcp", "mcp", "Let an assistant ask and pause for you, never trade."),
    "why": ("why", "why", "Explain the outcome of a signal for a follower."),
    "halt": ("halt", "halt", "Stop new entries; exits still go through."),
    "resume": ("halt", "resume", "Allow new entries again."),
    "unknown": ("unknown", "unknown", "List orders with an unknown result, and decide about them."),
    "reconcile": (
        "reconcile",
        "reconcile",
        "Compare accounts with their exchange, and correct the ledger.",
    ),
    "health": ("health", "health", "Ask the running server whether it works."),
    "status": ("status", "status", "Show accounts, orders and switches."),
    "account": ("account", "account", "List accounts, show or check one, end a quarantine."),
    "books": ("books", "books", "Compare the books of an account with its exchange."),
    "operator": ("people", "operator", "Create operators."),
    "user": ("people", "user", "List users, change roles, create one-time sign-in links."),
    "invite": ("people", "invite", "Create, list and revoke invitations."),
    "audit": ("people", "audit", "Read the audit log, and verify its chain."),
    "alert": ("alert", "alert", "List alerts, and test a channel."),
    "key": ("key", "key", "Show, rotate and remove keys, and handle a leaked secret."),
    "backup": ("backup", "backup", "Copy the ledger while the server runs, and verify the copy."),
    "restore": ("restore", "restore", "Restore a backup, and confirm it."),
    "upgrade": ("upgrade", "upgrade", "Say what this version will migrate."),
    "system": ("system", "system", "Show versions, disk, clock, backups and refused deliveries."),
    "metrics": ("metrics", "metrics", "Print the metrics of the running server."),
    "simulate": ("simulate", "simulate", "Run a simulated exchange for practice."),
    "drill": ("drill", "drill", "Rehearse an incident against a simulated exchange."),
    "doctor": ("doctor", "doctor", "Check this installation and say what to do."),
}


class _LazyGroup(click.Group):
    """A group that imports a command's file only when the command is called.

    A command whose file is missing is not listed.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [
            name for name, (file, _, _) in _COMMANDS.items() if find_spec(f"rexalgo.cli.{file}")
        ]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        file, attribute, _ = _COMMANDS[cmd_name]
        command = getattr(import_module(f"rexalgo.cli.{file}"), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"rexalgo.cli.{file}.{attribute} must be a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][2]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> object:
        from rexalgo.cli.common import as_click_error  # here, so that --help imports no engine

        try:
            return super().invoke(ctx)
        # expected errors become one sentence and an exit code; any other error keeps its traceback
        except Exception as error:
            expected = as_click_error(error)
            if expected is None:
                raise
            raise expected from error


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"rexalgo {version('rexalgo')}")
        ctx.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The rexalgo.toml to use, or its folder. Default: the current folder.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Show the version.",
)
@click.pass_context
def main(ctx: click.Context, config_path: Path | None) -> None:
    """Self-hosted copy trading: one signed signal becomes one copy per follower, with an explained
    outcome for each.

    Exit codes: 0 done, 1 the answer is no or something is wrong, 2 usage or configuration error, 3
    refused because a file exists or the folder is locked, 4 not found.
    """
    ctx.obj = config_path or Path()
