"""Every mutant and every seeded bug still finds its place in the source. A bug that cannot be
seeded proves nothing, and the slow runs that seed them are not part of the gate.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.faults.mutants import MUTANTS
from tests.seeded import example_bugs, mudrex_bugs, source_bugs
from tests.source_edits import places

ROOT: Final = Path(__file__).resolve().parents[2]
SEEDED: Final = [
    *((ROOT / "plugins/mudrex", bug) for bug in mudrex_bugs.BUGS),
    *((ROOT / "tests/journeys", bug) for bug in example_bugs.BUGS),
    *((ROOT / "plugins", bug) for bug in source_bugs.BUGS),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_a_mutant_changes_one_place(mutant) -> None:
    for file, text, _ in mutant.edits:
        assert len(places((ROOT / file).read_text(encoding="utf-8"), text)) == 1, (file, text)


@pytest.mark.parametrize(("folder", "bug"), SEEDED, ids=lambda each: getattr(each, "name", ""))
def test_a_seeded_bug_finds_its_place(folder: Path, bug) -> None:
    source = (folder / bug.file).read_text(encoding="utf-8")
    for text, _ in ((bug.text, bug.instead), *bug.more):
        assert places(source, text), (bug.file, text)


def test_an_edit_fits_however_its_lines_are_broken() -> None:
    assert places("f(\n    a,\n    b=1,\n)\n", "f(a, b=1)") == [(0, 20)]
    assert places("f(a, b)", "f(a, c)") == []
