"""Make a ledger record in which turn it recorded each signal and each claim: one sequence for both,
in the order of commits.

Every time in the ledger was taken before its own transaction began, so times do not prove which
transaction came first: a signal that was received earlier may be recorded later. A turn is assigned
inside the transaction, and there is one writer.
"""

from typing import Final

import apsw

WATCH: Final = """
CREATE TABLE turn (number INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL, row INTEGER NOT NULL) STRICT;
CREATE TRIGGER turn_of_signal AFTER INSERT ON signal BEGIN INSERT INTO turn (what, row) VALUES ('signal', new.number); END;
CREATE TRIGGER turn_of_claim AFTER INSERT ON attempt BEGIN INSERT INTO turn (what, row) VALUES ('claim', new.id); END;
"""


def watch_turns(db: apsw.Connection) -> None:
    """Start recording turns; once per ledger, before anything else is recorded in it."""
    db.execute(WATCH)
