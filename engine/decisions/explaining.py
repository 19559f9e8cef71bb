"""Explain what a copy waits for, what its strategy still holds, and who has to act, as things are
now.

An outcome records what became of one copy at the time. Whether somebody has to act depends on what
is open now, so the answer is *nobody* only if we hold nothing that the master has left, no key is
dead, and no exit and no move of a stop or target keeps failing. Nothing here reads or decides an order.
"""

from dataclasses import dataclass
from typing import Final

from engine.decisions.routing import PROTECTION
from engine.domain.alert import TRIES_TOLD
from engine.domain.amounts import Quantity, plain
from engine.domain.identifiers import Symbol
from engine.domain.outcome import Outcome, OutcomeCode, WhoseMove

_N, _Y, _M, _O = WhoseMove.NOBODY, WhoseMove.YOU, WhoseMove.MASTER, WhoseMove.OPERATOR
_UNDER_WAY: Final = (OutcomeCode.UNKNOWN, OutcomeCode.PLACED, OutcomeCode.PARTIALLY_FILLED)


@dataclass(frozen=True, slots=True)
class LaneNow:
    """What only the running task knows about a copy: how often nothing of it could be sent, the
    latest reason, and what it waits for.
    """

    failed: int = 0
    problem: str = ""
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class FailingLeg:
    """An exit, or a move of stop and target, that goes on failing: its kind and contract, how often
    it failed, and the last cause.
    """

    kind: str
    symbol: Symbol
    tries: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitNow:
    """An exit that has not ended: its signal, how often it failed, and the latest reason.

    ``is_refused``: the exchange itself refused the last try. ``is_sent``: an order of it is out, or
    is being looked up.
    """

    signal: str
    failed: int
    problem: str
    is_refused: bool
    is_sent: bool
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class UnprovenNow:
    """An order of ours in the symbol without proof: its kind, and whether it was given up without
    trace.
    """

    kind: str
    is_given_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveNow:
    """What only the running engine knows about the account.

    ``problem`` is why it cannot be read; ``key_refused``: because of its key. ``exits_wait``:
    broken conservation stopped exits. ``unreadable``: the exchange's row of the symbol cannot be
    read. ``own`` is what the exchange shows in a symbol where no strategy holds anything, such as
    ``LONG 2``.
    """

    problem: str = ""
    key_refused: bool = False
    exits_wait: bool = False
    quarantined: bool = False
    unreadable: str = ""
    own: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyNow:
    """The current circumstances of one copy.

    ``share`` and ``side`` are what its strategy holds in the symbol; ``entries_open`` counts
    entries that may still fill. ``kind`` is that of the leg that has not ended, else of the last
    one. ``master_left``: the strategy's newest order there is an exit. ``live`` is None if no
    engine runs. ``lane`` is what its own lane knows of it. ``is_part``: the signal closes a part
    only.
    """

    symbol: Symbol
    kind: str
    share: Quantity
    side: str
    entries_open: int
    master_left: bool
    is_sending: bool
    exit: ExitNow | None
    unproven: UnprovenNow | None
    live: LiveNow | None
    lane: LaneNow = LaneNow()
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation: ``sentence`` about the copy, ``now`` about what is still open (empty if there
    is nothing more to say).
    """

    sentence: str
    now: str
    move: WhoseMove


def explain(outcome: Outcome | None, copy: CopyNow) -> Explained:
    """Explain one copy as things are now. Total."""
    if outcome is None or (outcome.code in _UNDER_WAY and copy.kind == "exit"):
        said, move = _exit_waits(copy) if copy.kind == "exit" else _other_waits(copy)
        if outcome is None:
            return Explained(said, "", move)
        return Explained(outcome.sentence, "" if move is _N else said, move)
    if copy.share > 0 and (copy.master_left or copy.exit is not None):
        return Explained(outcome.sentence, *_stands(copy, outcome))
    if copy.share > 0 and _is_refused(copy):
        return Explained(
            outcome.sentence, f"{_what(copy)} of this strategy is open, and {_refused(copy)}", _Y
        )
    return Explained(outcome.sentence, _beside(outcome, copy), _mover(outcome, copy))


def _exit_waits(copy: CopyNow) -> tuple[str, WhoseMove]:
    """Return how the exit under way is doing; what a person must do comes before what passes by
    itself.
    """
    tries, live = copy.exit, copy.live
    if live is None:
        return "No engine runs here, so nothing is sent until rexalgo serve runs.", _O
    if live.exits_wait:
        return (
            "Closing orders of this account wait: an order contradicted the record, and a person "
            "must decide (see its alert).",
            _O,
        )
    if _is_refused(copy):
        return _refused(copy), _Y
    if copy.unproven is not None and copy.unproven.is_given_up:
        return (
            f"The exchange does not show an {copy.unproven.kind} order in {copy.symbol}; a person "
            "decides: rexalgo unknown list.",
            _O,
        )
    if tries is not None and tries.failed >= TRIES_TOLD:
        return (
            f"It failed {tries.failed} times ({tries.problem}). It is tried again at least once a "
            "minute; if it cannot wait, close the position at the exchange.",
            _Y if tries.is_refused else _O,
        )
    if copy.is_sending:
        return "Its order is being sent.", _N
    if copy.unproven is not None:
        return (
            f"It waits for the result of an {copy.unproven.kind} order in {copy.symbol}, which is "
            "being looked up.",
            _N,
        )
    if tries is not None and tries.is_sent:
        return "Its order is at the exchange, and is looked up.", _N
    if tries is not None and tries.failed:
        return f"Failed tries so far: {tries.failed} ({tries.problem}). It is tried again.", _N
    if tries is not None and tries.waits_for:
        return f"It waits: {tries.waits_for}.", _N
    if copy.entries_open:
        return f"It waits for an entry of this strategy in {copy.symbol} to end.", _N
    return "It waits to be planned.", _N


def _other_waits(copy: CopyNow) -> tuple[str, WhoseMove]:
    live = copy.live
    if live is None:
        return "No engine runs here, so nothing is sent until rexalgo serve runs.", _O
    if _is_refused(copy):
        return _refused(copy), _Y
    if copy.kind == PROTECTION and copy.lane.failed >= TRIES_TOLD and not copy.lane.waits_for:
        return (
            f"It failed {copy.lane.failed} times ({copy.lane.problem}), and the old stop and target "
            "stay at the exchange. It is tried again at least once a minute; if it cannot wait, set "
            "them there.",
            _O,
        )
    if live.quarantined:
        return (
            "The task of this account kept failing, so it takes no entries until a person "
            "releases it: rexalgo account release.",
            _O,
        )
    if copy.is_sending:
        return "Its order is being sent.", _N
    if copy.unproven is not None:
        move = _O if copy.unproven.is_given_up else _N
        return (
            f"It waits for the result of an earlier order in {copy.symbol}: rexalgo unknown list.",
            move,
        )
    if live.problem:
        return f"It waits for a reading of the account, which fails now ({live.problem}).", _O
    if copy.lane.waits_for:
        return f"It waits: {copy.lane.waits_for}.", _N
    return "It waits to be planned.", _N


def _stands(copy: CopyNow, outcome: Outcome) -> tuple[str, WhoseMove]:
    """Describe what is still open though the master has left, or while it is being closed."""
    what = f"{_what(copy)} of this strategy is still open"
    if copy.exit is not None:
        how, move = _exit_waits(copy)
        base = _mover(outcome, copy)
        return (
            f"{what}; closing it is under way (signal {copy.exit.signal}). {how}",
            move if move is not _N else base,
        )
    if copy.unproven is not None:
        how, move = _exit_waits(copy)
        return f"{what}. {how}", move if move is not _N else _O
    if _is_refused(copy):
        return f"{what}, and {_refused(copy)}", _Y
    if outcome.code is OutcomeCode.SKIPPED_CARRIED:
        return f"{what}; the next close takes it.", _N
    return f"{what}, and no exit is under way: close it at the exchange, or have it flattened.", _Y


def _mover(outcome: Outcome, copy: CopyNow) -> WhoseMove:
    """Return who has to act after an outcome, if the code alone does not decide it."""
    if outcome.code is OutcomeCode.DENIED_ACCOUNT_NOT_READY and _is_refused(copy):
        return _Y
    if (
        outcome.code is OutcomeCode.SKIPPED_ENTRIES_OFF
        and outcome.numbers.get("note") == BY_THE_OWNER
    ):
        return _Y
    if outcome.code in _UNDER_WAY and (copy.live is None or _is_refused(copy)):
        return _O if copy.live is None else _Y
    if copy.kind == "exit" and copy.live is not None and copy.live.unreadable:
        return _Y
    return outcome.explanation.move


def _beside(outcome: Outcome, copy: CopyNow) -> str:
    """Return what else is open beside an exit that closed nothing, or why proof does not come."""
    if outcome.code in _UNDER_WAY and copy.live is None:
        return "No engine runs here, so nothing is looked up until rexalgo serve runs."
    if outcome.code in _UNDER_WAY and _is_refused(copy):
        return _refused(copy)
    if copy.kind == "exit" and copy.share > 0 and copy.is_part:
        return f"{_what(copy)} of this strategy is still open: a reduce closes a part only."
    if copy.kind == "exit" and copy.share > 0:
        return (
            f"{_what(copy)} of this strategy is open: its entry counts as later, or is on the "
            "other side."
        )
    if copy.live is not None and copy.live.unreadable:
        return (
            f"The exchange's row of {copy.symbol} cannot be read ({copy.live.unreadable}), so "
            "what is open there is not known: look there."
        )
    if (
        outcome.code is OutcomeCode.SKIPPED_NOTHING_TO_CLOSE
        and copy.live is not None
        and copy.live.own
    ):
        return (
            f"The exchange shows {copy.live.own} {copy.symbol} that no strategy here holds: it is "
            "left alone as the owner's."
        )
    return ""


def _is_refused(copy: CopyNow) -> bool:
    return copy.live is not None and copy.live.key_refused


def _refused(copy: CopyNow) -> str:
    assert copy.live is not None, "only a running engine knows that a key is refused"
    return (
        f"the exchange refuses this account's key ({copy.live.problem}): nothing reaches it until "
        "the key is replaced."
    )


def _what(copy: CopyNow) -> str:
    return f"{copy.side} {plain(copy.share)} {copy.symbol}"


BY_THE_OWNER: Final = "by the owner"
"""The note of a switch that an account's owner turned on."""
