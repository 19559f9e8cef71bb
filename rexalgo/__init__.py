"""The plugin author's stable door: ``import rexalgo`` and nothing else is needed to write a plugin."""

from engine.plugin.api import *  # noqa: F403 - the one star import: this module *is* engine.plugin.api under its public name
from engine.plugin.api import __all__ as __all__
