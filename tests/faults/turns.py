"""Have a ledger itself write down in which turn it recorded each signal and each claim: one
sequence for both, in the order of commits.

Every time in the ledger was taken before its own transaction began, so two of them say nothing
about which transaction came first: a signal that was received earlier may be recorded later. A turn
is given inside the transaction, and there is one writer.
"""

from typing import Final

import apsw

WATCH: Final = """
CREATE TABLE turn (number INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL, row INTEGER NOT NULL) STRICT;
CREATE TRIGGER turn_of_signal AFTER INSERT ON signal BEGIN INSERT INTO turn (what, row) VALUES ('signal', new.number); END;
CREATE TRIGGER turn_of_claim AFTER INSERT ON attempt BEGIN INSERT INTO turn (what, row) VALUES ('claim', new.id); END;
"""


def watch_turns(db: apsw.Connection) -> None:
    """Begin to write turns down; once for each ledger, before anything is recorded in it."""
    db.execute(WATCH)
