"""``python watched_serve.py [serve options]``: the real ``rexalgo serve``, which counts what it
holds whenever it gets SIGUSR1.

The counts go to standard output, one JSON object a line: tasks, descriptors, objects that the
garbage collector tracks, and memory without the ledger's caches, which may fill. Nothing in the engine knows about this.
"""

import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import trio


def held() -> dict[str, int]:
    """Count what this process holds."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    resident = pages * resource.getpagesize()
    return {
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "objects": len(gc.get_objects()),
        "memory_kib": (resident - apsw.memory_used()) // 1024,
    }


async def answer(task_status: trio.TaskStatus[None]) -> None:
    """Write the counts for each signal."""
    with trio.open_signal_receiver(signal.SIGUSR1) as received:
        task_status.started()
        async for _ in received:
            print(json.dumps(held()), flush=True)


def main() -> None:
    """Serve, and answer beside it."""
    from rexalgo.cli import main as rexalgo
    from rexalgo.cli import serve as command

    run_trio = command.run_trio

    def run(work: Callable[[], Awaitable[Any]]) -> Any:
        async def watched() -> Any:
            async with trio.open_nursery() as nursery:
                await nursery.start(answer)
                done = await work()
                nursery.cancel_scope.cancel()
            return done

        return run_trio(watched)

    command.run_trio = run
    sys.argv = ["rexalgo", "serve", *sys.argv[1:]]
    rexalgo()


if __name__ == "__main__":
    main()
