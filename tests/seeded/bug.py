"""One seeded bug: edits of one file, which must still fit."""

from dataclasses import dataclass
from pathlib import Path

from tests.source_edits import edited, places


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug: its name, and edits (text, instead) of one file. Each text must occur at least once;
    the first is changed.
    """

    name: str
    file: str
    text: str
    instead: str
    more: tuple[tuple[str, str], ...] = ()

    def seed(self, folder: Path) -> None:
        """Apply the bug to the copy in ``folder``."""
        file = folder / self.file
        source = file.read_text(encoding="utf-8")
        for text, instead in ((self.text, self.instead), *self.more):
            found = places(source, text)
            assert found, f"{self.name}: {self.file} has no {text!r} any more"
            source = edited(source, found[0], instead)
        file.write_text(source, encoding="utf-8")
