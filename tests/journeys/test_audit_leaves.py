"""The audit leaves the place: exported with its keys, verified by the script of docs/ in a Python
that knows nothing of RexAlgo.
"""

import json
import stat
import subprocess
import sys
from pathlib import Path

from journey_place import REXALGO, Place, run_cli

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "verify_audit.py"


def verify(*args: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-I", "-S", str(SCRIPT), *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def refusal(folder: Path, *args: str) -> str:
    command = [*REXALGO, "audit", "export", *args]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done
    return done.stderr


def test_an_export_verifies_elsewhere_and_is_never_overwritten(tmp_path: Path) -> None:
    folder = Place(tmp_path / "place").folder
    run_cli("operator", "create", "ada", cwd=folder)
    command = ("audit", "export", "audit.jsonl", "--keys", "audit.keys", "--json")
    told = json.loads(run_cli(*command, cwd=folder))
    export, keys = folder / "audit.jsonl", folder / "audit.keys"
    assert {stat.S_IMODE(each.stat().st_mode) for each in (export, keys)} == {0o600}
    done = verify(export, keys, told["end"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (
        0,
        f"every row fits; the chain ends at {told['end']}\n",
    )
    before = export.read_bytes()
    run_cli("operator", "create", "bob", cwd=folder)
    run_cli(*command, cwd=folder, code=3)
    assert export.read_bytes() == before
    told_all = refusal(folder, "audit.jsonl", "--keys", "no/where")
    assert "audit.jsonl already exists" in told_all
    assert "no/where: expected a name in an existing folder" in told_all
    assert "another file than the export" in refusal(folder, "new", "--keys", "new")
    assert not (folder / "new").exists()
    export.write_bytes(before.replace(b'"by": "', b'"by": "not ', 1))
    done = verify(export, keys, cwd=tmp_path)
    assert done.returncode == 1
    assert "NOT VERIFIED: ValueError: row 1 does not follow" in done.stderr
    assert "Traceback" not in done.stderr
    done = verify(export, tmp_path / "missing", cwd=tmp_path)
    assert "NOT VERIFIED, it cannot be read" in done.stderr
