"""A plugin developer's afternoon: start from the template, see cases fail, complete it by the
guide, pass, and get a record.

Packages are installed into a separate environment. The completed exchange is beside this file and
imports ``rexalgo`` only.
"""

import ast
import json
import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from completed_exchange import Adapter, Connection
from tiny_exchange import tiny_exchange

from rexalgo import AccountLogin, ExchangeContext, Secret
from rexalgo.testing import ExchangeUnderTest, Verdict, check_exchange_adapter

COMPLETED = Path(__file__).with_name("completed_exchange.py")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a separate environment that sees this checkout."""
    home = tmp_path_factory.mktemp("env")
    venv.create(home, symlinks=True)
    libraries = next(home.glob("lib/python*/site-packages"))
    inherited = "".join(
        f"import site; site.addsitedir({each!r})\n" for each in site.getsitepackages()
    )
    (libraries / "inherited.pth").write_text(inherited, encoding="utf-8")
    return home / "bin" / "python"


def rexalgo(python: Path, *args: object, cwd: Path, code: int = 0) -> str:
    """Run the command line of that environment."""
    told = subprocess.run(
        [python, "-m", "rexalgo", *map(str, args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert told.returncode == code, (args, told.stdout[-3000:], told.stderr[-2000:])
    return told.stdout


def install(python: Path, package: Path) -> None:
    """Install as the guide says, without an index."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "--python",
        str(python),
    ]
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "install", *options, "-e", str(package)], check=True, capture_output=True)


def verdicts(told: str) -> dict[str, str]:
    return {
        case["number"]: case["verdict"]
        for report in json.loads(told)["reports"]
        for case in report["cases"]
    }


def test_a_package_completed_by_the_guide_passes_and_is_recorded(
    python: Path, tmp_path: Path
) -> None:
    rexalgo(python, "init", cwd=tmp_path)
    rexalgo(python, "plugin", "new", "tiny", "--kind", "exchange", cwd=tmp_path)
    package = tmp_path / "rexalgo-tiny"
    install(python, package)
    with tiny_exchange() as url:
        fresh = verdicts(
            rexalgo(
                python, "plugin", "test", "tiny", "--against", url, "--json", cwd=tmp_path, code=1
            )
        )
        own_test = subprocess.run(
            [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", package / "tests"],
            cwd=package,
            env={**os.environ, "SIMULATOR": url},
            capture_output=True,
            text=True,
            timeout=180,
        )
    assert "fail" in fresh.values()
    assert "exchange tiny fails" in own_test.stdout, own_test.stdout[-3000:]
    assert "is not written yet" in own_test.stdout
    (package / "rexalgo_tiny" / "__init__.py").write_text(
        COMPLETED.read_text(encoding="utf-8"), encoding="utf-8"
    )
    with tiny_exchange() as url:
        seen = verdicts(
            rexalgo(python, "plugin", "test", "tiny", "--against", url, "--json", cwd=tmp_path)
        )
    assert set(seen.values()) <= {"pass", "skipped"}, seen
    assert sum(each == "pass" for each in seen.values()) >= 30, seen
    assert "passed" in rexalgo(python, "plugin", "show", "tiny", cwd=tmp_path)
    assert os.listdir(tmp_path / "data" / "kit") == ["tiny.json"]


class NewestKey(Adapter):
    """An adapter that sends every account's requests with the newest account's client."""

    shared = "_http"

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self.opened: list[Connection] = []

    async def connect(self, login: AccountLogin, context: ExchangeContext) -> Connection:
        connection = await super().connect(login, context)
        self.opened.append(connection)
        for each in self.opened:
            setattr(each, self.shared, getattr(connection, self.shared))
        return connection


class NewestAccount(NewestKey):
    """An adapter that reads the newest account in place of every other."""

    shared = "fetch_account"


@pytest.mark.parametrize(
    ("adapter", "failing"),
    [
        (Adapter, ""),
        (NewestKey, "expected no order or cancel of the first account"),
        (NewestAccount, "found it read through the client of the second"),
    ],
)
async def test_an_adapter_that_trades_with_the_newest_accounts_key_fails(
    adapter: type[Adapter], failing: str, tmp_path: Path
) -> None:
    with tiny_exchange() as url:
        under_test = ExchangeUnderTest(
            adapter=adapter(url),
            credentials={"secret": Secret("kit-account")},
            settings={},
            data_dir=str(tmp_path),
        )
        report = await check_exchange_adapter(under_test, "E65")
    (result,) = report.results
    assert result.verdict is (Verdict.FAIL if failing else Verdict.PASS), result
    assert failing in result.detail


def test_the_completed_example_needs_nothing_but_rexalgo() -> None:
    named = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(COMPLETED.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {
        each for each in named if each and each.partition(".")[0] not in sys.stdlib_module_names
    } == {"rexalgo"}
