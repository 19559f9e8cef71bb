"""A verb that reads before it writes begins with its lock, or says here why it needs none."""

import ast
from dataclasses import dataclass
from typing import Final

from engine.ledger import locking
from tests.engine.ledger.statements import LEDGER, NO_STATEMENTS_OF_THE_RECORD

READS: Final = ("fetch_one", "fetch_all", "fetch_each")
WRITES: Final = ("run", "insert", "execute", "executemany")

NO_LOCK: Final = {
    "alerts.know_channels": "a start alone does it, and each is written once under its name",
    "alerts.raise_alert": "two at once would tell an alert twice, or count one too few",
    "alerts.raise_alert_once": "the same",
    "callbacks.note_due": "one task notes, and a call is written once under its signal",
    "deliveries.note_deliveries": "it reads only names for the page, and deletes what is older",
    "freeze.freeze": "the first cause is written once under its key",
    "messages.forget_messages": "one task forgets, and deletes by number",
    "messages.write_digest": "the day is changed only while it is an earlier one",
    "messages.write_message": "a message is written once under its person and event",
    "outcomes.conclude": "the leg is changed only while it is new; what else it reads never changes",
    "outcomes.forget_outcome": "what it reads never changes; its callers hold the account",
    "outcomes.write_outcome": "what it reads never changes; its callers hold the account or the leg",
    "people.insert_strategy": "it reads only which id a master's name has",
    "people.set_strategy": "the same",
    "refused.note_and_alert": "two at once could alert one fault more than the limit",
    "tokens.note_deed": "a deed is written once under its key; what it reads then never changes",
    "sessions.use_ticket": "a link is used only while it has uses left",
    "books.note_order_fee": "its callers hold the account of the attempt",
    "books.tell_order": "the same",
    "books.write_fill": "its callers hold the account",
    "wallet.add_row": "the same",
    "wallet.add_since": "the same",
    "wallet.add_to": "the same",
    "wallet.drop_row": "the same",
    "wallet.drop_rows_of": "the same",
}


@dataclass
class Verb:
    """A function of the ledger: what it calls, in the order of the text, and what comes of it."""

    name: str
    calls: list[str]
    reads: bool
    writes: bool


def verbs() -> dict[str, Verb]:
    """Return every function of the ledger's modules; its calls of each other have their full names."""
    trees = {
        file.stem: ast.parse(file.read_text(encoding="utf-8"))
        for file in sorted(LEDGER.glob("*.py"))
        if file.name
        not in (*NO_STATEMENTS_OF_THE_RECORD, "__init__.py", "witness.py", "locking.py")
    }
    functions = {
        f"{module}.{node.name}": node
        for module, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
    public = {name.partition(".")[2]: name for name in functions if "._" not in name}
    found: dict[str, Verb] = {}
    for name, node in functions.items():
        module = name.partition(".")[0]
        calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
        calls.sort(key=lambda each: (each.lineno, each.col_offset))
        words = [called(each) for each in calls]
        full = [
            own if (own := f"{module}.{each}") in functions else public.get(each, each)
            for each in words
        ]
        found[name] = Verb(
            name, full, any(each in READS for each in words), any(each in WRITES for each in words)
        )
    grew = True
    while grew:  # what a function calls, it does
        before = [(each.reads, each.writes) for each in found.values()]
        for verb in found.values():
            inner = [found[each] for each in verb.calls if each in found]
            verb.reads = verb.reads or any(each.reads for each in inner)
            verb.writes = verb.writes or any(each.writes for each in inner)
        grew = before != [(each.reads, each.writes) for each in found.values()]
    return found


def called(call: ast.Call) -> str:
    name = call.func
    if isinstance(name, ast.Attribute):
        return name.attr
    return name.id if isinstance(name, ast.Name) else ""


def begins_with_lock(verb: Verb, known: dict[str, Verb]) -> bool:
    """Return whether a lock comes before everything that a function asks or writes."""
    for each in verb.calls:
        if each == "lock":
            return True
        if each in (*READS, *WRITES):
            return False
        inner = known.get(each)
        if inner is not None and inner is not verb and (inner.reads or inner.writes):
            return begins_with_lock(inner, known)
    return False


def test_a_verb_that_reads_before_it_writes_begins_with_its_lock() -> None:
    known = verbs()
    public = [
        each for name, each in known.items() if each.reads and each.writes and "._" not in name
    ]
    bare = {each.name for each in public if not begins_with_lock(each, known)}
    assert len(public) > 40
    assert bare - set(NO_LOCK) == set(), "begin with lock(), or name it in NO_LOCK with the reason"
    assert set(NO_LOCK) - bare == set(), "these need no exception any more: take them out"


def test_every_lock_is_explained() -> None:
    assert locking.__doc__
    for each in locking.Held:
        assert f"\n{each.name} " in locking.__doc__
