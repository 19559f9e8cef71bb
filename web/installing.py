"""What a browser needs to install RexAlgo as an app: a manifest, icons, and a worker that shows a page
of its own while the server cannot be reached.

The worker keeps that page, its style and its icon, which hold nothing of anybody. It never keeps a
page of a person: whoever holds the device later would read it, and it would be taken for true.
"""

import hashlib
import json
from typing import Final

from quart import Response

from web.compressing import compress
from web.pages import read_static, render, static_address
from web.routes import Route, Who, get

OFFLINE: Final = "/offline"
_GROUND: Final = "#f6f7f4"
_ACCENT: Final = "#1d5c54"
_MANIFEST: Final = json.dumps(
    {
        "id": "/",
        "name": "RexAlgo",
        "short_name": "RexAlgo",
        "description": "Copy trading: one signal, one copy, and always the reason.",
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "background_color": _GROUND,
        "theme_color": _ACCENT,
        "icons": [
            {"src": static_address("mark.svg"), "sizes": "any", "type": "image/svg+xml"},
            {"src": static_address("icon-192.png"), "sizes": "192x192", "type": "image/png"},
            {"src": static_address("icon-512.png"), "sizes": "512x512", "type": "image/png"},
            {
                "src": static_address("icon-512.png"),
                "sizes": "512x512",
                "type": "image/png",
                "purpose": "maskable",
            },
        ],
    }
)
_PAGE: Final = render("offline.html")
_KEPT: Final = (OFFLINE, static_address("site.css"), static_address("mark.svg"))
_VERSION: Final = hashlib.sha256("".join((_PAGE, *_KEPT)).encode()).hexdigest()[:12]
_WORKER: Final = (
    f"const version = {json.dumps(_VERSION)};\nconst kept = {json.dumps(_KEPT)};\n"
    + read_static("service-worker.js").decode()
)


async def manifest() -> Response:
    """Answer with the manifest of the app."""
    return await _public(_MANIFEST, "application/manifest+json", "public, max-age=3600")


async def worker() -> Response:
    """Answer with the worker; a browser asks for it anew each day."""
    return await _public(_WORKER, "text/javascript; charset=utf-8", "no-cache")


async def offline() -> Response:
    """Answer with the page that is shown while this installation cannot be reached."""
    return await _public(_PAGE, "text/html; charset=utf-8", "no-cache")


async def _public(text: str, kind: str, kept: str) -> Response:
    answer = Response(text, content_type=kind)
    answer.headers["Cache-Control"] = kept
    return await compress(answer)


ROUTES: Final[tuple[Route, ...]] = (
    get("/manifest.webmanifest", Who.ANYONE, manifest),
    get("/service-worker.js", Who.ANYONE, worker),
    get(OFFLINE, Who.ANYONE, offline),
)
