"""What each order does whose message a master pastes, in words. Pure.

``what_orders_do`` calls the same reader as the webhook, so what is shown is what happens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.domain.errors import InvalidValue
from engine.domain.signal import Action, SignalDraft
from engine.ports.signal_source import ReadyMessage


@dataclass(frozen=True, slots=True)
class StepTaken:
    """What one order becomes: ``does`` is the signal in words, or the refusal if ``is_refused``."""

    order: str
    does: str
    is_refused: bool


def what_orders_do(
    ready: ReadyMessage, read: Callable[[bytes], SignalDraft]
) -> Sequence[StepTaken]:
    """Return what each order of a ready message becomes; ``read`` is the webhook's reader and may
    raise InvalidValue.
    """
    return [_taken(order, body, read) for order, body in ready.orders]


def _taken(order: str, body: bytes, read: Callable[[bytes], SignalDraft]) -> StepTaken:
    try:
        return StepTaken(order, what_it_does(read(body)), is_refused=False)
    except InvalidValue as error:
        return StepTaken(
            order, f"refused: {error.field}: expected {error.expected}", is_refused=True
        )


def what_it_does(draft: SignalDraft) -> str:
    """Return in words what a signal asks every follower's account to do."""
    side = "" if draft.side is None else draft.side.value.lower()
    if draft.action is Action.REDUCE and draft.size.fraction is not None:
        return f"closes {draft.size.fraction:.0%} of the {side or 'position'}"
    words: dict[Action, str] = {
        Action.OPEN: f"opens {side}",
        Action.ADD: f"adds to the {side}",
        Action.CLOSE: f"closes the {side}" if side else "closes all",
        Action.REVERSE: f"closes what is held on the other side, then opens {side}",
        Action.REDUCE: "closes a part",
        Action.CANCEL: "takes resting entries back",
        Action.SET_PROTECTION: "moves stop and target",
    }
    return words[draft.action]
