"""The fuzzer runs in every test run, on few inputs; `make fuzz-http` runs it on a million."""

import re
from collections import Counter
from itertools import islice

import pytest

from engine.transport import answer_parser
from tests.fuzz_http.fuzzing import BODY_BYTES_MAX, Broken, run
from tests.fuzz_http.hostile import answers
from tests.fuzz_http.judge import NoAnswer, by_h11, by_parser, by_reading_reader


def test_hostile_answers_are_refused_or_read_as_h11_reads_them() -> None:
    figures = run(seed=1, inputs=20_000)
    assert figures.outcomes.total() == 20_000
    assert min(figures.outcomes[each] for each in ("whole", "refused", "unfinished")) > 1_000


def test_a_reading_is_read_as_the_strict_parser_reads_it_and_as_h11_does_where_that_refuses() -> (
    None
):
    came: Counter[str] = Counter()
    for sent in islice(answers(seed=2), 10_000):
        strict, ours = by_parser(sent, BODY_BYTES_MAX), by_reading_reader(sent, BODY_BYTES_MAX)
        if strict is not NoAnswer.REFUSED:
            assert ours == strict, sent
        elif ours is NoAnswer.REFUSED:
            came["refused"] += 1
        else:
            assert ours == by_h11(sent), sent
            came["forgiven"] += 1
    assert came["refused"] > 100
    assert came["forgiven"] > 100


@pytest.mark.parametrize(
    ("name", "weaker"),
    [
        ("_CONTROLS", b"\r\n"),
        ("_TOKEN", answer_parser._TOKEN + b" "),
        ("_FRAMING", frozenset()),
        ("_CHUNK_LINE", re.compile(rb"([0-9A-Fa-f]{1,16}).*")),
        ("_STATUS_LINE", re.compile(rb"HTTP/(1\..) ([1-9][0-9]{2})(.*)", re.DOTALL)),
    ],
)
def test_the_fuzzer_notices_a_weaker_parser(
    name: str, weaker: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_parser, name, weaker)
    with pytest.raises(Broken, match="--seed 1, input"):
        run(seed=1, inputs=20_000)
