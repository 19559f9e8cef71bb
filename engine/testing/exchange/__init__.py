"""The kit for exchange adapters: numbered promises, each with what to do if it is not kept.

``registry`` holds the cases, ``running`` runs one on a ``kit``. Cases are in ``about`` (E0),
``entries`` and ``protection`` (E1), ``exits`` (E2), ``lines`` (E3, E4, E65), ``readings`` (E50 on),
``reporting`` (E57 on) and ``owners`` (E62 on).
"""

from collections.abc import Callable
from dataclasses import fields

from engine.ports.exchange import ExchangeTraits
from engine.ports.rate_limiter import RateLimit
from engine.testing.exchange import (
    about,
    entries,
    exits,
    lines,
    owners,
    protection,
    readings,
    reporting,
)
from engine.testing.exchange.kit import ExchangeKit, ExchangeUnderTest
from engine.testing.exchange.registry import all_cases
from engine.testing.exchange.running import run_case
from engine.testing.report import CaseResult, KitReport, Verdict

__all__ = [
    "ExchangeUnderTest",
    "about",
    "check_exchange_adapter",
    "entries",
    "exchange_cases",
    "exits",
    "lines",
    "owners",
    "protection",
    "readings",
    "reporting",
]


def exchange_cases() -> tuple[tuple[str, str], ...]:
    """Return (number, promise) of every case, for the guide."""
    return tuple((each.number, each.promise) for each in all_cases())


async def check_exchange_adapter(
    under_test: ExchangeUnderTest,
    only: str | None = None,
    *,
    stop_at_first: bool = False,
    tell: Callable[[CaseResult], None] = lambda _: None,
) -> KitReport:
    """Run every case, or the one with the number ``only``, against a real exchange, simulator or
    paper account.

    ``stop_at_first`` ends with the first case that fails. ``tell`` gets each result as soon as it
    is there.
    """
    kit = ExchangeKit(under_test)
    results: list[CaseResult] = []
    try:
        for case in all_cases():
            if only in (None, case.number):
                results.append(await run_case(kit, case))
                tell(results[-1])
                if stop_at_first and results[-1].verdict is Verdict.FAIL:
                    break
    finally:
        await kit.aclose()
    return KitReport(
        "exchange", under_test.adapter.name, tuple(results), capabilities(under_test.adapter.traits)
    )


def capabilities(traits: ExchangeTraits) -> dict[str, str]:
    """Return the traits in words, by their names, and what proves an exit by them."""
    return {each.name: _word(getattr(traits, each.name)) for each in fields(traits)} | {
        "exit_proof": exit_proof(traits)
    }


def exit_proof(traits: ExchangeTraits) -> str:
    """Return what proves an exit at this exchange, the best proof first."""
    proofs = (
        (
            traits.exits_carry_client_order_id and traits.reads_client_order_id,
            "its client order id",
        ),
        (traits.names_positions, "the order that names the position"),
        (traits.reports_closed_positions, "the closed position"),
        (True, "a later reading without the position"),
    )
    return ", else ".join(words for holds, words in proofs if holds)


def _word(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case RateLimit():
            return f"{value.count} in {value.period_s:g} s, {value.burst} at once"
        case None:
            return "not stated"
        case _:
            return str(value)
