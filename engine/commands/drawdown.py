"""The command by which a person lets an account continue after its drawdown stopped it: its equity
peak is reset.
"""

from collections.abc import Mapping
from typing import Any, Final

from engine.commands.auditing import recorder
from engine.commands.operating import NOTE_CHARACTERS_MAX
from engine.commands.parameters import Run, no_such, text
from engine.context import EngineContext
from engine.decisions.risk import equity
from engine.domain.amounts import ZERO, Money, plain
from engine.domain.errors import InvalidValue, NothingThere
from engine.ledger import Database
from engine.ledger.equity import begin_peak_anew
from engine.ledger.outcomes import write_event
from engine.ledger.people import accounts


async def _reset_drawdown(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Reset the equity peak of an account, as a person's decision with its reason."""
    name, note, by = text(params, "name"), text(params, "note"), text(params, "by", "operator")
    if not 1 <= len(note) <= NOTE_CHARACTERS_MAX:
        raise InvalidValue(
            "note",
            f"1 to {NOTE_CHARACTERS_MAX} characters: why it may continue",
            f"{len(note)} characters",
        )
    rows = accounts(context.ledger.db)
    account = next((each for each in rows if each.name == name), None)
    if account is None:
        raise NothingThere(no_such("account", name, [each.name for each in rows]))
    task = None if context.live is None else context.live.named(name)
    # Without a reading the next one sets the peak: until then entries are denied, because the
    # account is not ready.
    worth = (
        Money(ZERO) if task is None or task.account.report is None else equity(task.account.report)
    )
    at, record = context.clock.now(), await recorder(context, params)

    def write(db: Database) -> Money | None:
        was = begin_peak_anew(db, account.id, worth)
        if was is not None:
            data = {"drawdown": "reset", "was": plain(was), "note": note, "by": by}
            write_event(db, kind="decision", subject=name, data=dict(data), at=at)
            record(db, by, "drawdown_reset", name, data)
        return was

    was = await context.ledger.write(write)
    if was is None:
        raise NothingThere(
            f"account {name} was never read, so it has no equity peak yet; nothing changed"
        )
    return {"account": name, "was": plain(was), "now": plain(worth) if worth > 0 else None}


DRAWDOWN: Final[Mapping[str, Run]] = {"reset_drawdown": _reset_drawdown}
"""Every command about drawdown."""
