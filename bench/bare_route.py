"""BENCH ONLY: a Quart-Trio route that reads a body and answers 202, under the same hypercorn, with
nothing of ours. It prints its address and ends with its input.
"""

import json
import sys
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response, request
from quart_trio import QuartTrio

ANSWER = json.dumps(
    {"ok": True, "signal_id": f"sig_{0:032}", "receipt": f"/api/receipts/rcp_{0:032}"}
)
app = QuartTrio(__name__)


@app.post("/api/bare")
async def bare() -> Response:
    """Read the body and answer."""
    await request.get_data(cache=False, parse_form_data=False)
    return Response(ANSWER, status=202, content_type="application/json")


async def main() -> None:
    """Serve until the input ends."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = None
    config.loglevel = "WARNING"
    ended = partial(trio.to_thread.run_sync, sys.stdin.read)
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(partial(serve, app, config, shutdown_trigger=ended))
        print(json.dumps({"url": urls[0]}), flush=True)


if __name__ == "__main__":
    trio.run(main)
