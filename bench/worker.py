"""A child process that prints a line of JSON when it is ready, and answers each line with one."""

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any, Final

import trio

ENDS_WITHIN_S: Final = 20
LOG_SHOWN: Final = 4_000


def raise_open_files(needed: int) -> None:
    """Raise this process's limit of open files, and that of later children, to what the system
    allows. Raises RuntimeError if that is fewer than ``needed``.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise RuntimeError(
            f"expected {needed} open files, found a hard limit of {hard}: raise it (ulimit -Hn), "
            "or measure fewer followers"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Worker:
    """A Python module that runs as a child. What it logs is shown if it ends too early."""

    def __init__(
        self, module: str, *arguments: str, environ: Mapping[str, str] | None = None
    ) -> None:
        self.name = module
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the child
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **(environ or {})},
        )

    @property
    def pid(self) -> int:
        """Return the id of the child."""
        return self._process.pid

    async def read(self) -> dict[str, Any]:
        """Return the next line of the child; raises RuntimeError if it ended."""
        assert self._process.stdout is not None
        line = await trio.to_thread.run_sync(self._process.stdout.readline)
        if not line:
            raise RuntimeError(
                f"{self.name} ended with {self._process.wait()}; see its words above"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _logged(self) -> str:
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - LOG_SHOWN))
        return self._log.read().decode(errors="replace")

    async def ask(self, what: str, **fields: object) -> dict[str, Any]:
        """Send one request and return its answer."""
        self.tell({"what": what, **fields})
        return await self.read()

    def tell(self, value: object) -> None:
        """Send one line of JSON."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Close its input, wait until it ended, and kill it if it does not."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended first
            self._process.stdin.close()
        try:
            self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()
