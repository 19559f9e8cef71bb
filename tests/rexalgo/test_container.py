"""The container without Docker: both files against a schema of our own, and what they start, with a
root that cannot be written.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
BIN = Path(sys.executable).parent


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the image's last stage."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line.split(None, 1) for line in text.splitlines() if line and line[0] != "#"]
    last = max(index for index, (word, _) in enumerate(lines) if word == "FROM")
    return [(word, rest) for word, rest in lines[last:]]


def instruction(word: str) -> str:
    (found,) = [rest for name, rest in instructions() if name == word]
    return found


def run_by_the_image() -> tuple[list[str], list[str]]:
    """Return what the image starts, and its health check, both without a shell."""
    start = json.loads(instruction("ENTRYPOINT")) + json.loads(instruction("CMD"))
    return start, json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])


def test_the_image_runs_as_a_user_of_its_own_and_writes_only_its_place() -> None:
    assert instruction("USER") == "rexalgo"
    assert "useradd --system --uid 10001" in instruction("RUN")
    assert [instruction(each) for each in ("WORKDIR", "VOLUME")] == ["/place", "/place"]
    assert [word for word, _ in instructions() if word == "ADD"] == []
    copied = [rest.split() for word, rest in instructions() if word == "COPY"]
    assert copied == [["--from=build", "/opt/rexalgo", "/opt/rexalgo"]]
    assert run_by_the_image() == (["rexalgo", "serve"], ["rexalgo", "health"])


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def is_list_of(each: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(map(each, value))


def is_time(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[1-9][0-9]*s", value) is not None


SERVICE: dict[str, Callable[[Any], bool]] = {
    "build": lambda value: (
        set(value) == {"context", "dockerfile"} and all(map(is_text, value.values()))
    ),
    "image": is_text,
    "restart": lambda value: value == "unless-stopped",
    "user": lambda value: re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", value) is not None,
    "stop_grace_period": is_time,
    "healthcheck": lambda value: (
        set(value) == {"test", "interval", "timeout", "start_period"}
        and value["test"][0] == "CMD"
        and all(is_time(value[each]) for each in ("interval", "timeout", "start_period"))
    ),
    "read_only": lambda value: value is True,
    "tmpfs": is_list_of(is_text),
    "cap_drop": lambda value: value == ["ALL"],
    "cap_add": lambda value: value == ["NET_BIND_SERVICE"],
    "security_opt": is_list_of(is_text),
    "ulimits": lambda value: all(isinstance(each, int) for each in value.values()),
    "volumes": is_list_of(lambda value: isinstance(value, str) and ":" in value),
    "networks": lambda value: isinstance(value, dict),
    "environment": lambda value: all(map(is_text, value.values())),
    "ports": is_list_of(is_text),
    "depends_on": is_list_of(is_text),
}
"""What a service may say, and in which form."""


def test_compose_fits_the_schema_and_its_parts_fit_each_other() -> None:
    read = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(read) == {"name", "services", "networks", "volumes"}
    for name, service in read["services"].items():
        wrong = [
            key for key, value in service.items() if key not in SERVICE or not SERVICE[key](value)
        ]
        assert wrong == [], name
        assert {"read_only", "cap_drop", "restart"} <= set(service)
        assert ("build" in service) is not ("image" in service)
        assert set(service["networks"]) <= set(read["networks"])
        named = {each.partition(":")[0] for each in service["volumes"]}
        files = {each for each in named if each.startswith(".")}
        assert named - files <= set(read["volumes"])
        assert all((DEPLOY / each).is_file() for each in files)
        assert set(service.get("depends_on", ())) <= set(read["services"])
    ours, proxy = read["services"]["rexalgo"], read["services"]["proxy"]
    assert "ports" not in ours  # only the proxy is reached from outside
    assert ours["volumes"] == ["place:/place"]
    assert ours["user"].partition(":")[0] in instruction("RUN")
    assert ours["healthcheck"]["test"][1:] == run_by_the_image()[1]
    assert int(ours["stop_grace_period"][:-1]) > 10  # a stop takes at most 10 s
    inside = ours["networks"]["inside"]["ipv4_address"]
    assert proxy["environment"]["REXALGO_UPSTREAM"].startswith(f"{inside}:")
    assert read["networks"]["inside"]["internal"] is True
    guide = (DEPLOY / "README.md").read_text()
    assert f"web.host={inside}" in guide
    assert f'["{proxy["networks"]["inside"]["ipv4_address"]}"]' in guide


@pytest.mark.parametrize("file", ["prometheus/rules.yaml", "compose.yaml"])
def test_the_files_are_yaml_without_anything_of_python(file: str) -> None:
    assert isinstance(yaml.safe_load((DEPLOY / file).read_text()), dict)


def read_only(command: list[str], place: Path) -> list[str]:
    """Return a command that runs in the place with everything else read-only, as in the container."""
    script = (
        f"mount --bind {place} {place} && mount -o remount,bind,ro / && cd {place} && "
        f"exec {shlex.join(command)}"
    )
    return ["unshare", "-rm", "sh", "-c", script]


def environment(place: Path) -> dict[str, str]:
    """Return what the image sets, and a folder for temporary files as the compose file has it."""
    return {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": f"{place}/tmp",
    }


def can_unshare() -> bool:
    probe = ["unshare", "-rm", "sh", "-c", "mount -o remount,bind,ro /"]
    return (
        shutil.which("unshare") is not None
        and subprocess.run(probe, capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not can_unshare(), reason="this machine forbids mount namespaces")
def test_entry_point_and_health_check_run_with_a_read_only_root(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    env = environment(tmp_path)
    start, check = run_by_the_image()

    def run(*args: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            read_only(list(args), tmp_path),
            capture_output=True,
            text=True,
            env=env,
            timeout=60,
            check=False,
        )

    assert "Read-only file system" in run("touch", "/written").stderr
    assert run("rexalgo", "init").returncode == 0
    silent = run(*check)
    assert (silent.returncode, "found ConnectError" in silent.stderr) == (1, True)
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            read_only([*start, "--port", "0", "--json"], tmp_path),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=env,
        )
    assert server.stdout is not None
    head = ""
    while not head.endswith("}\n"):
        line = server.stdout.readline()
        assert line, (tmp_path / "log").read_text()
        head += line
    port = json.loads(head)["url"].rpartition(":")[2]
    healthy = run(*check, "--port", port)
    assert (healthy.returncode, "works, version" in healthy.stdout) == (0, True), healthy.stderr
    server.send_signal(signal.SIGSTOP)
    os.waitpid(server.pid, os.WUNTRACED)
    began = time.monotonic()
    hanging = run(*check, "--port", port)
    assert (hanging.returncode, "found ReadTimeout" in hanging.stderr) == (1, True), hanging.stderr
    assert time.monotonic() - began >= 4
    server.send_signal(signal.SIGCONT)
    server.send_signal(signal.Signals[instruction("STOPSIGNAL")])
    assert server.wait(60) == 0, (tmp_path / "log").read_text()
    server.stdout.close()
    assert (tmp_path / "data" / "ledger.sqlite3").stat().st_mode & 0o777 == 0o600
