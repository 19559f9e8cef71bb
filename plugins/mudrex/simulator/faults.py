"""Faults on demand: rules that say what happens to which requests, how often, and presets of them. Seeded, so a drill can be repeated."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BEFORE: Final = ("refuse_503", "rate_limit", "slow")
AFTER: Final = ("accept_then_503", "accept_then_drop", "reset_mid_body", "garbage", "drip")
WITHIN: Final = ("partial_fill", "late_rejection", "late_visible")
FAULTS: Final = (*BEFORE, *AFTER, *WITHIN)
FOR_EVER: Final = 1_000_000_000

_ORDER, _CLOSE, _ANY = "/futures/order", "/close", "/futures"
PRESETS: Final[Mapping[str, Sequence[tuple[str, str, float]]]] = {
    "calm": (),
    "lossy": ((_ORDER, "accept_then_drop", 0.1), (_CLOSE, "accept_then_503", 0.1), (_ANY, "garbage", 0.02)),
    "storm": ((_ANY, "rate_limit", 0.4), (_ANY, "refuse_503", 0.2)),
    "slow": ((_ANY, "slow", 0.1), (_ANY, "drip", 0.05)),
    "hostile": (
        (_ORDER, "accept_then_503", 0.1), (_ORDER, "partial_fill", 0.1), (_ORDER, "late_rejection", 0.05), (_ORDER, "late_visible", 0.1),
        (_CLOSE, "accept_then_drop", 0.1), (_CLOSE, "partial_fill", 0.1), (_ANY, "rate_limit", 0.1), (_ANY, "reset_mid_body", 0.02),
    ),
}  # fmt: skip
"""By name: (part of the path, fault, share of the requests)."""


@dataclass(slots=True)
class Rule:
    """Do ``fault`` to a ``share`` of the requests whose path contains ``path``, at most ``times`` times."""

    path: str
    fault: str
    times: int = FOR_EVER
    share: float = 1.0


class Faults:
    """Hold the rules in force."""

    def __init__(self, seed: int, rules: Sequence[Rule] = ()) -> None:
        self._random = random.Random(seed)  # noqa: S311 - drills, not secrets
        self.rules = list(rules)

    def of(self, path: str) -> str | None:
        """Return what happens to the next request of this path, None for nothing."""
        for rule in self.rules:
            if rule.times > 0 and rule.path in path and self._random.random() < rule.share:
                rule.times -= 1
                return rule.fault
        return None


def read_rules(rows: object) -> list[Rule]:
    """Read rules as they are posted or stand in a file; raises ValueError for a fault that is not known."""
    if not isinstance(rows, list):
        raise ValueError("expected a list of rules")  # noqa: TRY004 - one failure type for whatever cannot be read
    rules = []
    for each in rows:
        times = int(each.get("times", FOR_EVER if "share" in each else 1))
        rules.append(Rule(str(each["path"]), str(each["fault"]), times, float(each.get("share", 1.0))))
    unknown = sorted({each.fault for each in rules} - set(FAULTS))
    if unknown:
        raise ValueError(f"expected faults of {', '.join(FAULTS)}, found {', '.join(unknown)}")
    return rules


def preset_or_file(name: str) -> list[Rule]:
    """Return the rules of a preset, or of a JSON file with a list of rules; raises ValueError."""
    if name in PRESETS:
        return [Rule(path, fault, share=share) for path, fault, share in PRESETS[name]]
    try:
        return read_rules(json.loads(Path(name).read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError) as error:
        raise ValueError(f"expected one of {', '.join(PRESETS)} or a file with a JSON list of rules, found {name}: {error}") from None
