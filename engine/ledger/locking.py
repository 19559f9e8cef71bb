"""Hold what a verb reads before it writes, so that nobody changes it in between.

SQLite has one writer, whose transactions follow each other: there, ``lock`` does nothing. A store
with several writers holds the row until the transaction ends, so that READ COMMITTED is enough. A
verb that reads before it writes begins with its lock. One that needs several takes them in the
order of this table, and several ids of one kind in ascending order; a lock that is held is taken
again without harm.

==================  ==============================================================================
what                is held by
==================  ==============================================================================
PLACE               switches, freezes and root keys, and what a start takes over from earlier runs;
                    the first personal channel;
                    ``shared`` by what is sealed under a root key
STRATEGY            recording a signal, its state; ``shared`` by a claim, which reads the goal that
                    a signal sets
ACCOUNT             claims, and everything in an account: holdings, books, fees, wallet, equity
ACCOUNT_OF_ATTEMPT  how an attempt ends: the account of the attempt with this id
ACCOUNT_OF_FILL     what is told about a fill, and folding: the account of the fill with this id
AGREEMENT           the state of a subscription
TRIES               counting a try to sign in, by the throttle's key
AUDIT               appending to the audit: its end
==================  ==============================================================================

What writes once under a unique key, or changes a row only while it is as expected and looks at the
number of changed rows, needs no lock.
"""

from enum import Enum

from engine.ledger.query import Database


class Held(Enum):
    """What is held; see the table above."""

    PLACE = "place"
    STRATEGY = "strategy"
    ACCOUNT = "account"
    ACCOUNT_OF_ATTEMPT = "account of an attempt"
    ACCOUNT_OF_FILL = "account of a fill"
    AGREEMENT = "agreement"
    TRIES = "tries"
    AUDIT = "audit"


def lock(db: Database, what: Held, identifier: str | int = "", *, shared: bool = False) -> None:
    """Hold a thing until the transaction ends; with ``shared`` others may hold it so too."""
