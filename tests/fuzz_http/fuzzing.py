"""Feed hostile answers to the parser and count what became of them."""

import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice

from tests.fuzz_http.hostile import answers
from tests.fuzz_http.judge import Input, NoAnswer, by_parser, disagreement

BODY_BYTES_MAX: int = 1_000
SLOWEST_S: float = 2.0
"""The CPU time after which one input counts as a hang; the slowest takes a hundredth of it."""


class Broken(Exception):
    """Raised when an input broke a promise of the parser; the text says how to repeat it."""


@dataclass(slots=True)
class Figures:
    """What a run did."""

    outcomes: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    slowest_s: float = 0.0
    parser_s: float = 0.0
    most_held_bytes: int = 0


def run(seed: int, inputs: int) -> Figures:
    """Read ``inputs`` hostile answers; raises Broken at the first one that breaks a promise."""
    figures = Figures()
    for number, sent in enumerate(islice(answers(seed), inputs)):
        _one(sent, f"--seed {seed}, input {number}: {sent}", figures)
    return figures


def _one(sent: Input, where: str, figures: Figures) -> None:
    held = [0]
    began = time.thread_time()
    try:
        read = by_parser(sent, BODY_BYTES_MAX, held)
    except Exception as error:
        raise Broken(f"{where[:2000]}: {type(error).__name__}: {error}") from error
    took_s = time.thread_time() - began
    figures.parser_s += took_s
    figures.slowest_s = max(figures.slowest_s, took_s)
    figures.most_held_bytes = max(figures.most_held_bytes, *held)
    figures.bytes += len(sent.raw)
    if took_s > SLOWEST_S:
        raise Broken(f"{where[:2000]}: took {took_s:.1f} s of CPU time")
    if problem := disagreement(sent, read):
        raise Broken(f"{where[:2000]}: {problem[:2000]}")
    figures.outcomes[read.value if isinstance(read, NoAnswer) else "whole"] += 1
