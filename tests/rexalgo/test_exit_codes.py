"""Every expected error ends the command line with the exit code of its class."""

import pytest

from engine.control import FolderLocked, ServerSilent
from engine.domain.errors import InvalidValue, NothingThere, OwnFault
from engine.ledger import LedgerError
from engine.plugin.host import PluginError
from engine.provisioning.errors import ProvisionErrors
from engine.settings.config import ConfigError, ConfigErrors
from rexalgo.cli.common import Exit, as_click_error


class NoAccount(NothingThere):
    """An error that says more exactly what is missing."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigErrors([ConfigError("rexalgo.toml", "web.port", "a port", "x")]), Exit.USAGE),
        (ProvisionErrors("people.toml", []), Exit.USAGE),
        (PluginError("acmex", "acmex 1.0", "no installed package has this plugin"), Exit.USAGE),
        (InvalidValue("price", "a price"), Exit.USAGE),
        (NothingThere("no account f9"), Exit.NOTHING),
        (NoAccount("no account f9"), Exit.NOTHING),
        (FolderLocked("process 7 works here"), Exit.REFUSED),
        (ServerSilent("the server does not answer"), Exit.NO),
        (LedgerError("the ledger is damaged"), Exit.NO),
        (OwnFault("this place failed"), Exit.NO),
    ],
)
def test_an_expected_error_has_the_exit_code_of_its_class(error: Exception, code: Exit) -> None:
    told = as_click_error(error)
    assert told is not None
    assert told.exit_code == code


def test_any_other_error_keeps_its_traceback() -> None:
    assert as_click_error(ZeroDivisionError()) is None
