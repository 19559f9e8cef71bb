"""Who is served first: drawn anew for every signal, exits before entries."""

from statistics import fmean

from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.turns import Waiting, draw, in_turn
from engine.domain.identifiers import AccountId, SignalId

ACCOUNTS = [AccountId(f"account-{number:02}") for number in range(60)]


def jain(values: list[float]) -> float:
    """Return Jain's index of fairness: 1 if all values are equal."""
    return sum(values) ** 2 / (len(values) * sum(each * each for each in values))


def test_over_many_signals_every_account_has_the_same_mean_turn() -> None:
    turns: dict[AccountId, list[int]] = {each: [] for each in ACCOUNTS}
    for number in range(200):
        signal = SignalId(f"signal-{number}")
        for turn, account in enumerate(in_turn(Waiting(each, signal, True) for each in ACCOUNTS)):
            turns[account].append(turn + 1)
    assert jain([fmean(each) for each in turns.values()]) >= 0.98
    assert all(min(each) <= 5 and max(each) >= 55 for each in turns.values())


def test_a_turn_is_drawn_from_the_signal_and_the_account_alone() -> None:
    assert draw(SignalId("s"), ACCOUNTS[0]) == draw(SignalId("s"), ACCOUNTS[0])
    assert draw(SignalId("s"), ACCOUNTS[0]) != draw(SignalId("t"), ACCOUNTS[0])
    assert draw(SignalId("s"), ACCOUNTS[0]) != draw(SignalId("s"), ACCOUNTS[1])


LEGS = st.lists(
    st.builds(
        Waiting,
        st.sampled_from(ACCOUNTS),
        st.sampled_from([SignalId(each) for each in "abc"]),
        st.booleans(),
    ),
    max_size=80,
)


@given(LEGS)
def test_every_account_that_waits_is_served_once_and_exits_come_first(legs: list[Waiting]) -> None:
    order = in_turn(legs)
    exiting = {each.account for each in legs if not each.is_entry}
    assert sorted(order) == sorted({each.account for each in legs})
    assert set(order[: len(exiting)]) == exiting
