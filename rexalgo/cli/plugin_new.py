"""``rexalgo plugin new NAME --kind KIND``: write a plugin package to start from."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

import click

from engine.plugin.host import list_installed
from engine.settings.files import create_file
from rexalgo.cli.common import CliError, Exit, emit_json, json_option

_NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of package: what it adds, its guide, the kit cases it fails at first, and test
    options.
    """

    what: str
    guide: str
    fails: str
    options: str = ""


KINDS: Final[Mapping[str, Kind]] = {
    "exchange": Kind(
        "an exchange",
        "plugin-exchange.md",
        "E03 and all that trade",
        " --against http://127.0.0.1:9000",
    ),
    "source": Kind("a webhook source of signals", "plugin-source.md", "S04 and S06"),
    "stream": Kind("a stream source of signals", "plugin-source.md", "S22 and S24"),
    "limiter": Kind("a rate limiter", "plugin-limiter.md", "all but L04 and L05"),
}


@click.command("new")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    required=True,
    help=(
        "What the plugin adds: an exchange, a source (webhook), a stream (a source that runs as a "
        "task), a limiter."
    ),
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder for the package. Default: the current folder.",
)
@json_option
def new(name: str, kind: str, into: Path, as_json: bool) -> None:
    """Write a plugin package NAME to start from. It can be installed at once; its test kit shows
    case by case what is missing.
    """
    if not _NAME.fullmatch(name):
        raise CliError(
            f"expected a name of 2 to 31 of a-z, 0-9 and _, starting with a letter, found {name}",
            Exit.USAGE,
        )
    taken = next((each for each in list_installed() if each.name == name), None)
    if taken is not None:
        raise CliError(
            f"{taken.distribution} already has a plugin named {name}; choose another name",
            Exit.REFUSED,
        )
    folder = into / f"rexalgo-{name.replace('_', '-')}"
    if folder.exists():
        raise CliError(f"{folder} already exists; nothing was written", Exit.REFUSED)
    package = f"rexalgo_{name}"
    class_name = "".join(part.capitalize() for part in name.split("_"))
    chosen = KINDS[kind]
    test = f"rexalgo plugin test {name}{chosen.options}"
    values = {
        "name": name,
        "package": package,
        "class_name": class_name,
        "kind": kind,
        "title": name.replace("_", " ").capitalize(),
        "what": chosen.what,
        "guide": chosen.guide,
        "fails": chosen.fails,
        "test": test,
    }
    written = []
    for template, target in (
        ("pyproject.toml", "pyproject.toml"),
        ("README.md", "README.md"),
        (f"{kind}.py", f"{package}/__init__.py"),
        (f"test_{kind}.py", "tests/test_kit.py"),
    ):
        file = folder / target
        file.parent.mkdir(parents=True, exist_ok=True)
        text = (files("rexalgo") / "templates" / f"{template}.template").read_text(encoding="utf-8")
        create_file(file, Template(text).substitute(values), 0o644)
        written.append(str(file))
    if as_json:
        emit_json({"name": name, "kind": kind, "folder": str(folder), "files": written})
        return
    where = " (use the address of your simulator)" if chosen.options else ""
    click.echo(f"wrote {folder}: {len(written)} files. Next:")
    click.echo(f"  {sys.executable} -m pip install -e {folder}\n  {test}{where}")
    click.echo(
        f"At first it fails {chosen.fails}; the first failing case says what to do. Guide: "
        f"docs/{chosen.guide}"
    )
