"""``rexalgo backup``: make a verified copy of the ledger, with or without a running server."""

from pathlib import Path

import click

from engine.actors.clock import SystemClock
from engine.recovery.backups import make_backup, name_of
from rexalgo.cli.common import CliError, Exit, emit_json, json_option, read_config


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write backup-TIME.sqlite3 into DIR instead of backup.folder.",
)
@json_option
@click.pass_obj
def backup(where: Path, file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Copy the ledger to FILE (mode 0600) and verify the copy. Never overwrites. Default:
    backup-TIME.sqlite3 in backup.folder; a name ends with .enc if backup.public_key encrypts it.

    The copy shows one moment in full. It needs the keys in .env: store the two apart. To put a
    backup back, use `rexalgo restore FILE`; to rehearse that, `rexalgo drill restore`.
    """
    config = read_config(where)
    if file is not None and folder is not None:
        raise CliError("expected FILE or --to DIR, found both; give one of them", Exit.USAGE)
    if not config.ledger.path.exists():
        raise CliError(f"there is no ledger yet: {config.ledger.path} does not exist", Exit.NOTHING)
    name = name_of(config, SystemClock().now(), scheduled=False)
    target = (file or (folder or config.backup.folder) / name).absolute()
    try:
        made = make_backup(config, target)
    except FileExistsError:
        raise CliError(
            f"{target} already exists; nothing was written. Choose another name", Exit.REFUSED
        ) from None
    if as_json:
        emit_json(
            {
                "file": str(made.file),
                "bytes": made.bytes,
                "rows": made.rows,
                "encrypted": made.encrypted,
                "checked": True,
            }
        )
        return
    needs = (
        "the private key of backup.public_key and the keys in .env: store those files elsewhere."
        if made.encrypted
        else "the keys in .env: store that file elsewhere."
    )
    click.echo(
        f"wrote {made.file} ({made.bytes:,} bytes, {made.rows:,} rows) and verified it"
        f"{', encrypted' if made.encrypted else ''}. It needs {needs}"
    )
