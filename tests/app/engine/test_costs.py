"""How many rows pay in a call, learnt from what calls have taken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.engine.costs import MOST_ROWS, STALE, Costs


def learnt(seconds: Callable[[int], float], calls: int = 200) -> Costs:
    costs = Costs()
    for _ in range(calls):
        rows = costs.limit("x")
        costs.note("x", rows, seconds(rows))
    return costs


@pytest.mark.parametrize(
    ("seconds", "rows"),
    [
        (lambda n: 0.020, MOST_ROWS),  # every further row is free
        (lambda n: 0.010 * n, 2),  # none pays
        (lambda n: 0.020 + 0.001 * n, MOST_ROWS),
        (lambda n: 0.010 * n if n > 8 else 0.08, 8),  # saturated at 8
        (lambda n: {2: 0.0091, 4: 0.0186, 8: 0.0256}.get(n, 0.0040 * n), 8),  # two cores: four do not pay, eight do
    ],
)
def test_rows_are_added_while_they_pay(seconds: Callable[[int], float], rows: int) -> None:
    costs = learnt(seconds)
    assert costs.limit("x") == rows
    assert costs.predict("x", rows) == pytest.approx(seconds(rows))


def test_a_count_that_did_not_pay_is_tried_again() -> None:
    """The machine was busy then; a prediction is possible all the while."""
    costs = learnt(lambda n: 0.01 * n)
    tried = []
    for _ in range(2 * STALE + 8):
        rows = costs.limit("x")
        tried.append(rows)
        costs.note("x", rows, 0.02)
        assert costs.predict("x", 64) > 0
    assert tried[0] == 2 and costs.limit("x") > 2


def test_where_memory_ran_out_half_is_the_most() -> None:
    costs = learnt(lambda n: 0.02)
    costs.full("x", 16)
    assert costs.limit("x") == 8
    costs.full("x", 1)
    assert costs.limit("x") == 1 and Costs().predict("x", 4) == 0


def test_a_full_memory_is_tried_again() -> None:
    """Another program's, say, which has ended."""
    costs = learnt(lambda n: 0.02)
    costs.full("x", 16)
    limits = []
    for _ in range(4 * STALE):
        limits.append(costs.limit("x"))
        costs.note("x", limits[-1], 0.02)
    assert limits[: STALE + 1] == [8] * (STALE + 1) and limits[-1] == MOST_ROWS
