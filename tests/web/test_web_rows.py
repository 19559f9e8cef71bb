"""Outcome rows as people read them."""

from web_helpers import outcome_row

from web.rows import count_families, look_of, present


def test_every_family_has_a_word_and_a_shape_of_its_own_tone() -> None:
    for family in ("filled", "placed", "skipped", "denied", "rejected", "unknown"):
        look = look_of(family)
        assert look.word
        assert look.shape
    assert (
        len(
            {
                look_of(f).shape
                for f in ("filled", "placed", "skipped", "denied", "rejected", "unknown")
            }
        )
        == 6
    )


def test_a_family_unknown_to_the_page_is_shown_by_its_own_name() -> None:
    assert present(outcome_row(1, code="quarantined.twice")).look.word == "Quarantined"


def test_a_row_splits_the_code_and_names_who_has_to_act() -> None:
    row = present(
        outcome_row(1, code="denied.order_notional", setting="limits.order_notional", move="you")
    )
    assert (row.family, row.detail, row.setting, row.to_act) == (
        "denied",
        "order notional",
        "Max. order value",
        "follower",
    )


def test_an_unknown_environment_is_shown_like_live() -> None:
    assert present(outcome_row(1, environment="testnet")).environment_tone == "live"


def test_a_copy_is_counted_once_by_its_newest_row() -> None:
    placed, filled = (
        outcome_row(n, signal_id="sg", account="f1", code=code)
        for n, code in ((1, "placed"), (2, "filled"))
    )
    counts = {
        counter.family: counter.count
        for counter in count_families([present(filled), present(placed)])
    }
    assert counts["filled"] == 1
    assert counts["placed"] == 0
