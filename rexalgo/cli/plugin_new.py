"""``rexalgo plugin new NAME --kind exchange|source|limiter``: write a package that installs, and fails the right cases of its kit first."""

import re
from importlib.resources import files
from pathlib import Path
from string import Template

import click

from rexalgo.cli.common import CliError, Exit, emit_json, json_option

_NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")
KINDS = ("exchange", "source", "limiter")


@click.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What the plugin adds.")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder that gets the package.")
@json_option
def new(name: str, kind: str, into: Path, as_json: bool) -> None:
    """Write a plugin package NAME to start from. It installs at once; its kit tells case by case what is missing."""
    if not _NAME.fullmatch(name):
        raise CliError(f"expected a name of 2 to 31 of a-z, 0-9 and _, beginning with a letter, found {name}", Exit.USAGE)
    folder = into / f"rexalgo-{name.replace('_', '-')}"
    if folder.exists():
        raise CliError(f"{folder} is there already; nothing was written", Exit.REFUSED)
    package = f"rexalgo_{name}"
    class_name = "".join(part.capitalize() for part in name.split("_"))
    values = {"name": name, "package": package, "class_name": class_name, "kind": kind, "title": name.replace("_", " ").capitalize()}
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
        file.write_text(Template(text).substitute(values), encoding="utf-8")
        written.append(str(file))
    if as_json:
        emit_json({"name": name, "kind": kind, "folder": str(folder), "files": written})
        return
    click.echo(f"wrote {folder}: {len(written)} files")
    click.echo(f"  pip install -e {folder}\n  rexalgo plugin test {name}      tells what is missing; the guide: docs/plugin-{kind}.md")
