"""A built-in plugin has no privilege: the engine names none, so that what one of them can have
reaches any other through the ports.
"""

import ast
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from engine.plugin import hookspecs
from rexalgo import AddressSource

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUILT_IN: dict[str, str] = PROJECT["project"]["entry-points"]["rexalgo.plugins"]
ORDINARY = {
    "log": "what every logger is called",
    "paper": "an environment: accounts without money at any exchange",
    "gcra": "the algorithm by which decisions/rate.py counts",
}
"""Names that are words of the field too: of these only a text that is the name itself is one."""
OWN_WORDS = {
    ("engine/domain/account.py", "paper"),  # an environment
    ("engine/settings/config.py", "log"),  # the section of settings about the server's own log
}


def names_of_plugins(file: Path) -> Iterator[str]:
    """Yield where a file of the engine names a plugin, in code, text or comment."""
    text = file.read_text(encoding="utf-8")
    where = str(file.relative_to(ROOT))
    for number, line in enumerate(text.lower().splitlines(), start=1):
        for name in set(BUILT_IN) - set(ORDINARY):
            if name in line or name.replace("_", "") in line:
                yield f"{where}:{number}: {name}"
    for node in ast.walk(ast.parse(text)):
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and value in ORDINARY and (where, value) not in OWN_WORDS:
            yield f"{where}:{getattr(node, 'lineno', 0)}: {value}"


def test_every_hook_has_a_built_in_plugin_that_uses_it() -> None:
    modules = [import_module(module) for module in BUILT_IN.values()]
    hooks = {name for name in vars(hookspecs) if name.startswith("register_")}
    assert {name for each in modules for name in vars(each) if name in hooks} == hooks
    sources: list[object] = []
    for each in modules:
        if hasattr(each, "register_signal_sources"):
            each.register_signal_sources(sources.append, each.default_settings)
    assert any(hasattr(each, "authenticate") for each in sources)
    assert any(hasattr(each, "run") for each in sources)
    assert any(isinstance(each, AddressSource) for each in sources)


def test_the_engine_names_no_plugin() -> None:
    files = sorted((ROOT / "engine").rglob("*.py"))
    assert len(files) > 100
    assert [found for file in files for found in names_of_plugins(file)] == []
