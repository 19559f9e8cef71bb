"""Find an installed plugin by its name, for the commands that take one."""

from difflib import get_close_matches

from engine.plugin_host import InstalledPlugin, list_installed
from rexalgo.cli.common import CliError, Exit


def installed(name: str) -> InstalledPlugin:
    """Return the installed plugin of this name; a CliError that lists what is there otherwise."""
    there = list_installed()
    found = next((each for each in there if each.name == name), None)
    if found is None:
        names = [each.name for each in there]
        near = get_close_matches(name, names, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise CliError(
            f"no installed package has a plugin named {name}{hint}; pip install it, or name one of: {', '.join(names)}", Exit.NOTHING
        )
    return found
