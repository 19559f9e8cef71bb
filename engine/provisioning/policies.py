"""Read what a follower agrees to: the keys in a [[follower]] beside its strategy, or in a
[[subscription]].
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Final, TypeVar

from engine.domain.amounts import Ratio
from engine.domain.identifiers import Symbol
from engine.domain.subscription import (
    SIZING_FIELD,
    BelowMinimum,
    CopyPolicy,
    LeverageMode,
    LeveragePolicy,
    Mode,
    RiskLimits,
    Sizing,
    parse_leverage,
    parse_limits,
    parse_sizing,
    parse_symbols,
)
from engine.provisioning.reading import Table, read_flag

T = TypeVar("T")
POLICY_KEYS: Final = (
    "sizing",
    "leverage",
    "limits",
    "symbols",
    "mode",
    "below_minimum",
    "allow_own_position",
)


def read_policy(
    table: Table, symbols: frozenset[Symbol] | None, leverage: Ratio | None
) -> CopyPolicy | None:
    """Read a policy; None after recording problems. ``symbols`` and ``leverage`` are the
    strategy's, None if not known.

    Defaults: mode live, the strategy's symbols, the master's leverage capped at the strategy's.
    """
    before = len(table.problems)
    mode = table.choice("mode", [each.value for each in Mode], Mode.LIVE.value)
    below = table.choice(
        "below_minimum", [each.value for each in BelowMinimum], BelowMinimum.SKIP.value
    )
    own = table.read("allow_own_position", read_flag, False)
    sizing = _read_sizing(table)
    capped = None if leverage is None else LeveragePolicy(LeverageMode.CAPPED, leverage)
    chosen = _read_leverage(table) if "leverage" in table.values else capped
    limits = _read_limits(table)
    agreed = table.read("symbols", parse_symbols) if "symbols" in table.values else symbols
    foreign = sorted(agreed - symbols) if agreed and symbols else []
    if foreign:
        table.complain(
            "symbols",
            "only contracts of the strategy: " + ", ".join(sorted(symbols or ())),
            ", ".join(foreign),
        )
    if len(table.problems) > before or chosen is None or agreed is None:
        return None  # without a problem of its own only if the strategy has one
    assert sizing is not None
    assert own is not None
    return CopyPolicy(
        mode=Mode(mode),
        sizing=sizing,
        leverage=chosen,
        symbols=agreed,
        limits=limits,
        below_minimum=BelowMinimum(below),
        allow_own_position=own,
    )


def _read_sizing(table: Table) -> Sizing | None:
    inner = table.inner("sizing")
    if inner is None:
        if "sizing" not in table.values:
            table.complain(
                "sizing",
                'how copies are sized, such as { mode = "fixed_margin", margin = "50" }',
                "nothing",
            )
        return None
    mode = inner.choice("mode", SIZING_FIELD)
    if mode is None:
        return None
    return _read_known(
        table, key="sizing", inner=inner, known=("mode", SIZING_FIELD[mode]), parse=parse_sizing
    )


def _read_leverage(table: Table) -> LeveragePolicy | None:
    if not isinstance(table.values["leverage"], dict):
        return table.read("leverage", parse_leverage)
    inner = table.inner("leverage")
    return (
        None
        if inner is None
        else _read_known(
            table, key="leverage", inner=inner, known=("mode", "value"), parse=parse_leverage
        )
    )


def _read_known(
    table: Table, key: str, inner: Table, known: Sequence[str], parse: Callable[[object, str], T]
) -> T | None:
    """Report unknown keys, then parse the known ones, so that a wrong value beside a misspelt key
    is reported too.
    """
    inner.refuse_unknown(known)
    part = Table(
        table.path,
        {key: {name: each for name, each in inner.values.items() if name in known}},
        table.problems,
        table.name,
    )
    return part.read(key, parse)


def _read_limits(table: Table) -> RiskLimits:
    """Read caps one by one, so that each wrong one is reported."""
    inner = table.inner("limits")
    if inner is None:
        return RiskLimits()
    names = [each.name for each in fields(RiskLimits)]
    inner.refuse_unknown(names)
    good: dict[str, object] = {}
    for name in names:
        if name in inner.values:
            part = Table(
                table.path, {"limits": {name: inner.values[name]}}, table.problems, table.name
            )
            if part.read("limits", parse_limits) is not None:
                good[name] = inner.values[name]
    return parse_limits(good)
