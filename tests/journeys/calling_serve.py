"""``python tests/journeys/calling_serve.py [serve options]``: the real ``rexalgo serve``, whose
callbacks reach a receiver on this machine too. Otherwise only public addresses are called.
"""

import sys
from functools import partial

import engine.run
from engine.actors.callbacks import Callbacks
from engine.domain.network import LOOPBACK


def main() -> None:
    """Let callbacks reach this machine, and serve."""
    engine.run.Callbacks = partial(Callbacks, reach=LOOPBACK)  # type: ignore[misc, assignment]
    from rexalgo.cli import main as rexalgo

    sys.argv = ["rexalgo", "serve", *sys.argv[1:]]
    rexalgo()


if __name__ == "__main__":
    main()
