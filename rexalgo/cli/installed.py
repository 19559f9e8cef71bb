"""Find an installed plugin by its name, for the commands that take one."""

from engine.commands.parameters import no_such
from engine.plugin.host import InstalledPlugin, list_installed
from rexalgo.cli.common import CliError, Exit


def installed(name: str) -> InstalledPlugin:
    """Return the installed plugin of this name; a CliError that lists what is there otherwise."""
    there = list_installed()
    found = next((each for each in there if each.name == name), None)
    if found is None:
        raise CliError(
            f"{no_such('installed plugin', name, [each.name for each in there])} (rexalgo plugin "
            "list)",
            Exit.NOTHING,
        )
    return found
