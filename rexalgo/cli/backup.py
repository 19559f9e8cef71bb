"""``rexalgo backup FILE``: make a verified copy of the ledger, with or without a running server."""

from datetime import UTC, datetime
from pathlib import Path

import click

from engine.ledger import back_up
from rexalgo.cli.common import CliError, Exit, emit_json, json_option, read_config


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@json_option
@click.pass_obj
def backup(where: Path, file: Path | None, as_json: bool) -> None:
    """Copy the ledger to FILE (mode 0600) and verify the copy. Never overwrites. Default:
    backup-TIME.sqlite3 beside the data folder.

    The copy shows one moment in full. It needs the keys in .env: store the two apart. To put a
    backup back, use `rexalgo restore FILE`.
    """
    config = read_config(where)
    if not config.ledger.path.exists():
        raise CliError(f"there is no ledger yet: {config.ledger.path} does not exist", Exit.NOTHING)
    target = file or config.folder / f"backup-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.sqlite3"
    try:
        size = back_up(config.ledger.path, target)
    except FileExistsError:
        raise CliError(
            f"{target} already exists; nothing was written. Choose another name", Exit.REFUSED
        ) from None
    if as_json:
        emit_json({"file": str(target), "bytes": size, "checked": True})
    else:
        click.echo(
            f"wrote {target} ({size:,} bytes) and verified it. It needs the keys in .env: store "
            "that file elsewhere."
        )
