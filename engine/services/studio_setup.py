"""A master's way from nothing to a settled signal: the steps, which are done, and which is next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from engine.context import OWN_PAGE
from engine.decisions.terms import Listed
from engine.domain.amounts import plain
from engine.domain.strategy import StrategyState
from engine.ledger.deliveries import DeliveryRow
from engine.ledger.studio import StudioSignal, StudioStrategy

_HERE: Final = ("127.0.0.1", "localhost", "::1")
_TAKEN: Final = ("accepted", "duplicate")
ASK_FOR_ADDRESS: Final = (
    "Only programs on this machine reach {address}. For a sender elsewhere ask the operator for a "
    "public address."
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: whether it is done, what is known about it in sentences, and where it is done."""

    title: str
    is_done: bool
    said: Sequence[str]
    link: tuple[str, str] | None = None


def steps_of(
    row: StudioStrategy,
    url: str,
    contracts: Sequence[Listed],
    deliveries: Sequence[DeliveryRow],
    signals: Sequence[StudioSignal],
) -> list[Step]:
    """Return the steps of a strategy; ``url`` is its signed address, empty if it has none, and the
    rest is newest first.
    """
    settled = any(
        each.copies and not each.is_test and "waiting" not in each.outcomes for each in signals
    )
    return [
        Step("Describe the strategy", True, [f"{row.name}, at most {row.leverage}x."]),
        _contracts(row, contracts),
        Step("Get its address and secret", bool(url), _address(url)),
        _sender(deliveries),
        Step(
            "Send a first test signal",
            bool(signals),
            ["It takes the same path as a real one and reaches no exchange."],
            ("#test", "Send one below"),
        ),
        Step(
            "Publish it",
            row.state is not StrategyState.DRAFT,
            ["A draft has no followers, and no entry of it is copied."],
            ("#publish", "Set the state below"),
        ),
        Step(
            "See a signal settled",
            settled,
            ["Once somebody follows, each signal shows the outcome of every copy."],
        ),
    ]


def _contracts(row: StudioStrategy, contracts: Sequence[Listed]) -> Step:
    said, is_done = [], bool(contracts)
    for symbol in row.symbols:
        here = [
            f"{each.exchange}, {plain(found.leverage_min)}x to {plain(found.leverage_max)}x"
            for each in contracts
            if each.symbol == symbol and (found := each.instrument) is not None
        ]
        if here:
            said.append(f"{symbol}: {'; '.join(here)}.")
        elif contracts:
            is_done = False
            said.append(f"{symbol}: no exchange here lists it, so nobody can copy it.")
    link = None if is_done else ("#described", "Change the contracts below")
    return Step(
        "Check its contracts at the exchanges here",
        is_done,
        said or ["No exchange here has told its contracts yet. Ask the operator if it stays so."],
        link,
    )


def _address(url: str) -> list[str]:
    if not url:
        return ["It has no address for signed signals."]
    if asks_operator(url):
        return [ASK_FOR_ADDRESS.format(address=f"{urlsplit(url).scheme}://{urlsplit(url).netloc}")]
    return ["The secret was shown once; renew it if it is lost."]


def asks_operator(url: str) -> bool:
    """Return whether only programs on this machine reach an address."""
    return urlsplit(url).hostname in _HERE


def _sender(deliveries: Sequence[DeliveryRow]) -> Step:
    sent = [each for each in deliveries if each.peer != OWN_PAGE and each.kind != "dry_run"]
    is_done = any(each.kind in _TAKEN for each in sent)
    said = ["Its answer says what was wrong, and the deliveries below show the same."]
    if sent and sent[0].kind not in _TAKEN:
        newest = sent[0]
        why = f": {newest.field}, expected {newest.expected}" if newest.field else ""
        said = [f"The newest delivery was refused, {newest.kind.replace('_', ' ')}{why}."]
    return Step("Run your sender", is_done, said, ("#senders", "Copy one below"))
