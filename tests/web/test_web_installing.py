"""The app that a browser installs: its manifest, its icons, and a worker that keeps nothing of anybody."""

import json
import re
import struct

from web_helpers import served

from web.pages import read_static


async def test_the_manifest_names_icons_of_the_size_that_they_have() -> None:
    async with served() as site:
        answer = await site.ask("GET", "/manifest.webmanifest")
        assert answer.header("content-type") == "application/manifest+json"
        manifest = json.loads(answer.body)
        assert (manifest["start_url"], manifest["display"]) == ("/", "standalone")
        for icon in manifest["icons"]:
            shown = await site.ask("GET", icon["src"])
            assert (shown.status, shown.header("content-type")) == (200, icon["type"])
            if icon["type"] == "image/png":
                assert icon["sizes"] == "x".join(map(str, struct.unpack(">II", shown.body[16:24])))


async def test_the_worker_keeps_one_public_page_and_its_look_and_nothing_else() -> None:
    async with served() as site:
        worker = (await site.ask("GET", "/service-worker.js")).body.decode()
        kept = json.loads(re.findall(r"^const kept = (.*);$", worker, re.MULTILINE)[0])
        assert [each.partition("?")[0] for each in kept] == [
            "/offline",
            "/static/site.css",
            "/static/mark.svg",
        ]
        for each in kept:
            assert (await site.ask("GET", each)).status == 200
    source = read_static("service-worker.js").decode()
    assert source.count(".addAll(") == 1
    assert not re.search(r"\.put\(|\.add\(", source), "it keeps nothing that it was answered"
