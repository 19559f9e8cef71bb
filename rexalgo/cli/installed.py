"""Look up an installed plugin by name."""

from engine.commands.parameters import no_such
from engine.plugin.host import InstalledPlugin, list_installed
from rexalgo.cli.common import CliError, Exit


def installed(name: str) -> InstalledPlugin:
    """Return the installed plugin of this name; raise CliError with the names there are."""
    plugins = list_installed()
    plugin = next((each for each in plugins if each.name == name), None)
    if plugin is None:
        raise CliError(
            f"{no_such('installed plugin', name, [each.name for each in plugins])} (rexalgo plugin "
            "list)",
            Exit.NOTHING,
        )
    return plugin
