"""Who stopped something, and why, is not lost when somebody else stops it too."""

from datetime import UTC, datetime, timedelta

import apsw
import pytest

from engine.domain.holding import STOPPED_BY_CONSERVATION, Switch, SwitchLevel, SwitchScope
from engine.ledger.database import MEMORY, open_database
from engine.ledger.migrating import let_add_up
from engine.ledger.reports import clear_switch, set_switch, switches
from engine.ledger.schema import MIGRATIONS

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
ENTRIES, REDUCE, FLATTEN = SwitchLevel
FRAUD = "before, by ada: fraud case 17"


def stop(by: str, note: str, level: SwitchLevel, *, is_owners: bool = False) -> Switch:
    return Switch(
        scope=SwitchScope.ACCOUNT,
        target="bob",
        note=note,
        set_by=by,
        set_at=NOW if by == "ada" else NOW + timedelta(hours=1),
        level=level,
        is_owners=is_owners,
    )


@pytest.mark.parametrize(
    ("first", "second", "level", "by", "note"),
    [
        (ENTRIES, stop("breaker", "refused", ENTRIES), ENTRIES, "ada", "fraud case 17"),
        (FLATTEN, stop("eve", "", ENTRIES), FLATTEN, "ada", "fraud case 17"),
        (FLATTEN, stop("eve", "", FLATTEN), FLATTEN, "ada", "fraud case 17"),
        (ENTRIES, stop("eve", "night", REDUCE), REDUCE, "eve", f"night; {FRAUD}"),
        (ENTRIES, stop("eve", "", FLATTEN), FLATTEN, "eve", f"no note; {FRAUD}"),
        (ENTRIES, stop("ada", "case 18", ENTRIES), ENTRIES, "ada", "case 18"),
        (
            REDUCE,
            stop(STOPPED_BY_CONSERVATION, "broken", ENTRIES),
            REDUCE,
            STOPPED_BY_CONSERVATION,
            f"broken; {FRAUD}",
        ),
    ],
)
def test_a_stop_is_raised_and_never_replaced(
    first: SwitchLevel, second: Switch, level: SwitchLevel, by: str, note: str
) -> None:
    db = open_database(MEMORY)
    set_switch(db, stop("ada", "fraud case 17", first))
    assert set_switch(db, second) is first
    [found] = switches(db)
    assert (found.level, found.set_by, found.note) == (level, by, note)
    is_asked_again = second.level is FLATTEN or by != "ada"
    assert (found.set_at > NOW) is is_asked_again
    db.close()


def test_an_owners_stop_and_another_one_stand_beside_each_other() -> None:
    db = open_database(MEMORY)
    theirs, own = stop("ada", "fraud case 17", FLATTEN), stop("bob", "", ENTRIES, is_owners=True)
    assert [set_switch(db, each) for each in (theirs, own, own)] == [None, None, ENTRIES]
    assert switches(db) == (theirs, own)
    for each, rest in ((own, (theirs,)), (theirs, ())):
        how = {"is_owners": each.is_owners}
        assert clear_switch(db, SwitchScope.ACCOUNT, "bob", "x", NOW, **how)
        assert not clear_switch(db, SwitchScope.ACCOUNT, "bob", "x", NOW, **how)
        assert switches(db) == rest
    db.close()


def test_what_an_owner_stopped_before_is_the_owners_after_migrating() -> None:
    db = apsw.Connection(":memory:")
    let_add_up(db)
    step = next(at for at, each in enumerate(MIGRATIONS) if "switch_before" in each)
    for each in MIGRATIONS[:step]:
        db.execute(each)
    db.execute(
        "INSERT INTO switch VALUES ('account', 'bob', 'by the owner', 'bob', 1, 'flatten'), "
        "('account', 'eve', 'fraud', 'ada', 2, 'entries'), ('strategy', 's', 'by the owner', 'ada', 3, 'reduce'), "
        "('account', 'zoe', 'by the owner', 'engine (conservation)', 4, 'entries')"
    )
    db.execute(MIGRATIONS[step])
    assert [(each.target, each.level, each.is_owners) for each in switches(db)] == [
        ("bob", FLATTEN, True),
        ("eve", ENTRIES, False),
        ("s", REDUCE, False),
        ("zoe", ENTRIES, False),
    ]
    db.close()
