"""A chosen name is never that of a disconnected account."""

import pytest

from engine.domain.errors import InvalidValue
from engine.domain.identifiers import former_name, own_name, parse_name


@pytest.mark.parametrize("name", ["trader.gone.x", "trader.gone", "a.gone.b.c", "a.gone."])
def test_a_name_that_reads_like_a_former_one_cannot_be_chosen(name: str) -> None:
    with pytest.raises(InvalidValue, match=r"without '\.gone', which marks disconnected accounts"):
        parse_name(name)


@pytest.mark.parametrize(
    "name", ["trader", "gone", "gone.trader", "a.gonez", "a-gone.b", "a.gone-2"]
)
def test_any_other_name_is_found_again_in_the_former_one(name: str) -> None:
    assert own_name(parse_name(name)) == name
    assert own_name(former_name(name, "abcdef")) == name
