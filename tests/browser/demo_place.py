"""The demo as a place to take pictures of: real pages with paper data, started with one call."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_ADDRESS: Final = re.compile(r"be a trader[^:]*:\s+(http://\S+)/")


@contextmanager
def running_demo(followers: int = 8) -> Iterator[str]:
    """Run the demo while the block runs; yields its address."""
    command = [sys.executable, "-m", "rexalgo", "demo", "--followers", str(followers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        assert running.stdout is not None
        try:
            yield next(
                found[1] for line in running.stdout if (found := _ADDRESS.search(line)) is not None
            )
        finally:
            running.terminate()
            running.stdout.read()
