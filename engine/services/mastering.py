"""Becoming a master: a person with the role gets a name under which they publish."""

import secrets

from engine.domain.person import Person
from engine.ledger import Database
from engine.ledger.people import insert_master, master_of, masters


def become_master(db: Database, who: Person) -> None:
    """Give a person a master's name within the caller's transaction: their own, or with a number if
    it is taken.
    """
    if master_of(db, who.id) is not None:
        return
    taken, name, number = masters(db), who.called, 1
    while name in taken:
        number += 1
        name = f"{who.called}-{number}"
    insert_master(db, f"mst_{secrets.token_hex(16)}", name, who.id)
