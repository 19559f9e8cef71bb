"""The public API for plugin authors. A plugin imports ``rexalgo`` and nothing else."""

from engine.plugin.api import *  # noqa: F403 - the one star import: this module *is* engine.plugin.api under its public name
from engine.plugin.api import __all__ as __all__
