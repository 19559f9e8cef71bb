"""Faults of the SIMULATED exchange: seeded rules for what goes wrong with which requests, and
presets as data.

A rule applies to requests whose path contains ``path`` (and whose method is ``method``, if given),
``times`` times (0: without end), within ``for_s`` seconds from when it was set (0: for good), each
time with ``probability``. The first rule that applies is used.
"""

import json
import random
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from plugins.mudrex.simulator.exchange import FATES
from plugins.mudrex.simulator.messages import Answer, error, nested_error, page

KINDS: Final[Mapping[str, str]] = {
    # before anything happens
    "refuse_503": "nothing happens; 503 with HTML",
    "refuse_500": "nothing happens; 500",
    "refuse_400": "nothing happens; 400 Params error",
    "not_found": "nothing happens; 404 with the HTML of the edge before the exchange",
    "refuse_200": "nothing happens; 200 with success false",
    "blocked": "nothing happens; 403 with the HTML of the edge before the exchange",
    "rate_limit": "nothing happens; 429, listed shape",
    "rate_limit_nested": "nothing happens; 429, doubly encoded",
    "rate_limit_empty": "nothing happens; 429 without a body",
    "rate_limit_wait": "nothing happens; 429 that names seconds",
    "busy": "nothing happens; 423",
    "unauthorized": "nothing happens; 401",
    "drop": "nothing happens; the connection closes",
    # it happens, later
    "slow": "the answer takes `seconds` (5)",
    "reorder": "the request waits up to `seconds` (1), so that requests overtake each other",
    # it happens, and the answer fails
    "accept_then_503": "503 with HTML",
    "accept_then_500": "500 with an error",
    "accept_then_drop": "the connection closes",
    "reset_mid_body": "half of the body, then a reset",
    "garbage": "a 2xx that is no JSON",
    "empty": "a 2xx without a body",
    "duplicate_answer": "the answer is sent twice",
    "drip": "the answer comes byte by byte over `seconds` (5)",
    "duplicate_rows": "lists show every row twice",
    "missing_rows": "lists lack their newest row",
    # orders
    "reject_later": "accepted, and rejected when it would fill",
    "fill_partly": "half fills, the rest 2 s later",
    "fill_part_only": "half fills, and no more",
    "late": "shows up in lists 6 s later",
    "drop_protection": "stop and target, of an entry or of a risk order, are lost without a word",
}
BEFORE: Final[Mapping[str, Answer]] = {
    "refuse_503": page(503, "503 Service Temporarily Unavailable"),
    "refuse_500": error(500, 1001, "something went wrong"),
    "refuse_400": error(400, 400, "Params error"),
    "refuse_200": error(200, 1001, "Rate limited"),
    "not_found": page(404, "404 Not Found"),
    "blocked": page(403, "403 ERROR. Request blocked."),
    "rate_limit": error(429, 5002, "API rate limit exceeded"),
    "rate_limit_nested": nested_error(429, 5002, "API rate limit exceeded"),
    "rate_limit_empty": Answer(429, b""),
    "rate_limit_wait": error(429, 429, "Too many requests. Try again in 2 seconds."),
    "busy": error(423, 423, "resource is locked"),
    "unauthorized": error(401, 3100, "Invalid Authentication"),
}
PRESETS: Final = Path(__file__).with_name("presets.toml")


@dataclass(slots=True)
class Rule:
    """One rule. ``since`` is when it was set."""

    fault: str
    path: str = ""
    method: str = ""
    times: int = 1
    probability: float = 1.0
    seconds: float = 0.0
    for_s: float = 0.0
    since: float = 0.0
    done: int = 0

    def applies(self, method: str, path: str, now: float) -> bool:
        """Return whether this rule may act on a request."""
        in_time = not self.for_s or now - self.since <= self.for_s
        return (
            in_time
            and (not self.times or self.done < self.times)
            and self.path in path
            and self.method in ("", method)
        )


def read_rule(table: Mapping[str, Any], now: float) -> Rule:
    """Return the rule of a table. Raise ValueError for an unknown fault or key."""
    keys = {each.name for each in fields(Rule)} - {"since", "done"}
    if not set(table) <= keys:
        raise ValueError(
            f"a fault rule: expected keys among {', '.join(sorted(keys))}, found "
            f"{', '.join(sorted(set(table) - keys))}"
        )
    if table.get("fault") not in KINDS:
        raise ValueError(f"fault: expected one of {', '.join(KINDS)}, found {table.get('fault')!r}")
    rule = Rule(**table, since=now)
    if not 0 <= rule.probability <= 1 or rule.times < 0:
        raise ValueError("a fault rule: expected a probability from 0 to 1 and times of 0 or more")
    return rule


class Faults:
    """The faults of each request. The same seed and the same requests give the same faults."""

    def __init__(self, seed: int, rules: Iterable[Rule] = ()) -> None:
        self._random = random.Random(seed)  # noqa: S311 - it makes drills repeatable and guards nothing
        self.rules = list(rules)

    def choose(self, method: str, path: str, now: float) -> Rule | None:
        """Return the rule that acts on a request and count it, or None."""
        for rule in self.rules:
            if rule.applies(method, path, now) and self._random.random() < rule.probability:
                rule.done += 1
                return rule
        return None

    def delay_s(self, rule: Rule | None) -> float:
        """Return how long a request waits before its processing."""
        if rule is None or rule.fault not in ("slow", "reorder"):
            return 0.0
        return (
            rule.seconds or 5.0
            if rule.fault == "slow"
            else self._random.uniform(0.0, rule.seconds or 1.0)
        )


def fate_of(rule: Rule | None) -> str:
    """Return the effect of a rule on an order."""
    return rule.fault if rule is not None and rule.fault in FATES else ""


@dataclass(frozen=True, slots=True)
class Drill:
    """The content of a preset or a file: rules, switches, and the clock's skew in seconds."""

    rules: tuple[Mapping[str, Any], ...] = ()
    switches: Mapping[str, object] | None = None
    clock_skew_s: float = 0.0


def presets() -> Mapping[str, Mapping[str, Any]]:
    """Read the built-in presets."""
    return tomllib.loads(PRESETS.read_text(encoding="utf-8"))


def read_drill(name_or_file: str) -> Drill:
    """Read a preset by its name, or a TOML or JSON file of the same form. Raise ValueError with
    what was expected.
    """
    built_in = presets()
    if name_or_file in built_in:
        return drill_of(built_in[name_or_file])
    file = Path(name_or_file)
    if not file.is_file():
        raise ValueError(
            f"faults: expected a preset ({', '.join(built_in)}) or a file, found {name_or_file!r}"
        )
    text = file.read_text(encoding="utf-8")
    return drill_of(json.loads(text) if file.suffix == ".json" else tomllib.loads(text))


def drill_of(table: Mapping[str, Any]) -> Drill:
    """Return the drill of a table. Raise ValueError."""
    if not set(table) <= {"about", "rules", "switches", "clock_skew_s"}:
        raise ValueError(
            "a drill: expected about, rules, switches and clock_skew_s, found "
            + ", ".join(sorted(table))
        )
    rules = tuple(table.get("rules", ()))
    for each in rules:
        read_rule(each, 0.0)
    return Drill(rules, table.get("switches"), float(table.get("clock_skew_s", 0.0)))
