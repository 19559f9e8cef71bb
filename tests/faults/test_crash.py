"""A share of ``make crash`` in every test run: the server dies at the first boundaries of a fan-out, and the exchange's record judges."""

from tests.faults.crash import run


def test_a_server_that_dies_at_a_boundary_loses_and_doubles_nothing() -> None:
    wrong, figures = run(6, tell=False)
    assert wrong == []
    assert figures["kills"] == 6
