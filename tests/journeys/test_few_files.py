"""A server that may open only 256 files: it refuses connections in time, answers afterwards, and
says what limits it.
"""

import json
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import httpx
from journey_place import REXALGO, Place, run_cli, running, until

LIMITED = ["bash", "-c", 'ulimit -n 256; exec "$@"', "limited", *REXALGO, "serve"]


def test_more_connections_than_files_are_refused_without_a_traceback(tmp_path: Path) -> None:
    place = Place(tmp_path / "place", serving=LIMITED)
    with running(place):
        port = int(place.url.rpartition(":")[2])
        with ExitStack() as held:
            for number in range(400):
                peer = f"127.0.0.{2 + number % 200}"  # no peer is crowded by itself
                held.enter_context(
                    socket.create_connection(("127.0.0.1", port), source_address=(peer, 0))
                )
            with httpx.Client(trust_env=False, timeout=20) as client:
                until(lambda: refused(client, place.url))
        with httpx.Client(trust_env=False, timeout=20) as client:
            until(lambda: not refused(client, place.url))
        findings = json.loads(run_cli("doctor", "--json", cwd=place.folder, code=None))["findings"]
    [files] = [each for each in findings if "256 files" in each["what"]]
    assert files["level"] == "warn"
    assert "at most 128 connections" in files["what"]
    assert "LimitNOFILE" in files["do"]
    log = (place.folder / "log").read_text(encoding="utf-8")
    assert "at most 128 connections" in log
    assert "Traceback" not in log


def refused(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/api/health").status_code != 200
    except httpx.TransportError:
        return True


def test_doctor_names_the_limit_without_a_server(tmp_path: Path) -> None:
    Place(tmp_path)
    shell = ["bash", "-c", 'ulimit -n 300; exec "$@"', "limited", *REXALGO, "doctor"]
    told = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert "WARN  a server started from here may open only 300 files" in told
