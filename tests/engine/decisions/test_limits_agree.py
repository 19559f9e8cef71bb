"""A limit is one thing everywhere: in the terms, on the form, beside its words, in the settings, in
the planner and in the outcome that names it.
"""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import pytest
from decision_builders import ETH, NOW, D, entry, holding, signal, view

from engine.decisions.planning import plan_entry
from engine.domain.account import EquityMarks
from engine.domain.outcome import EXPLANATIONS, Outcome
from engine.domain.subscription import RiskLimits
from engine.services.terms_form import LIMITS
from web.labels import LIMITS as LABELLED

ROOT: Final = Path(__file__).resolve().parents[3]
NAMES: Final = {each.name for each in fields(RiskLimits)}
LOST: Final = EquityMarks(D("1100"), NOW, "UTC", D("1250"))
BROKEN: Final[dict[str, tuple[Any, dict[str, Any]]]] = {
    "order_notional": (D("1"), {}),
    "symbol_notional": (D("1"), {}),
    "account_notional": (D("1"), {}),
    "account_margin": (D("1"), {}),
    "open_positions": (1, {"account": view(holdings=(holding(symbol=ETH),))}),
    "entry_age_s": (1, {"signal": signal(age_s=5)}),
    "daily_loss": (D("1"), {"day": LOST}),
    "drawdown_percent": (1, {"day": LOST}),
    "slippage_bps": (1, {"signal": signal(price=D("50"))}),
}
"""A value of each limit, and what of the world must be so for an entry to break it."""


def test_every_limit_is_on_the_form_has_words_and_stands_in_the_settings() -> None:
    settings = (ROOT / "config" / "default.toml").read_text(encoding="utf-8")
    section = settings.partition("[limits]")[2].partition("\n[")[0]
    assert NAMES == set(LIMITS) == set(LABELLED) == set(BROKEN)
    assert set(re.findall(r"^# ([a-z_]+) = ", section, re.MULTILINE)) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_planner_refuses_what_breaks_a_limit_and_names_its_setting(name: str) -> None:
    value, world = BROKEN[name]
    assert not isinstance(plan_entry(entry(**world)), Outcome), "the limit alone decides"
    refused = plan_entry(entry(**world, limits=RiskLimits(**{name: value})))
    assert isinstance(refused, Outcome)
    assert EXPLANATIONS[refused.code].setting == f"limits.{name}"
