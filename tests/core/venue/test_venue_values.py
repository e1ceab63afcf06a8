"""Values of a venue: the grid is exact and refuses what lies off it; an order whose parts contradict each other cannot be made."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.core.errors import ContractError, DataError
from quantlab.core.venue.grid import Grid
from quantlab.core.venue.requests import Book, OrderKind, OrderRequest, OrderType

GRID = Grid(Decimal("0.10"), Decimal("0.001"))
STEPS = st.sampled_from([Decimal(text) for text in ("0.1", "0.25", "1", "10", "0.00000001", "0.005", "1E-9")])


@given(step=STEPS, whole=st.integers(-(10**12), 10**12))
def test_text_of_a_whole_number_comes_back_as_the_same_number(step: Decimal, whole: int) -> None:
    grid = Grid(step, step)
    assert grid.ticks(grid.price_text(whole)) == whole == grid.lots(grid.size_text(whole))
    assert "E" not in grid.price_text(whole)


@given(step=STEPS, whole=st.integers(-(10**9), 10**9))
def test_the_nearest_whole_number_of_a_float_is_the_one_it_was_made_of(step: Decimal, whole: int) -> None:
    assert Grid(step, step).nearest_lots(whole * float(step)) == whole


@pytest.mark.parametrize("text", ["84171.35", "84171.3000001", "", "nan", "inf", "1e999999", "abc", "0x10"])
def test_a_price_off_the_grid_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"a price on the tick 0\.10"):
        GRID.ticks(text)


@pytest.mark.parametrize("step", ["0", "-0.1", "nan", "inf"])
def test_a_step_is_a_positive_number(step: str) -> None:
    with pytest.raises(ContractError, match="a lot above 0"):
        Grid(Decimal("0.1"), Decimal(step))


def order(**changes: object) -> OrderRequest:
    parts = {
        "client_id": "qle",
        "kind": OrderKind.ENTRY,
        "symbol": "BTC",
        "side": 1,
        "type": OrderType.MARKET,
        "lots": 3,
    }
    return OrderRequest(**{**parts, **changes})


def test_a_stop_rests_in_the_conditional_book_and_may_be_sent_twice() -> None:
    stop = order(
        kind=OrderKind.STOP, type=OrderType.STOP_MARKET, lots=None, trigger_ticks=841_000, close_position=True, side=-1
    )
    assert (stop.book, stop.can_only_reduce) == (Book.CONDITIONAL, True)
    assert (order().book, order().can_only_reduce) == (Book.PLAIN, False)
    assert stop.ref.book is Book.CONDITIONAL


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"side": 0}, "side"),
        ({"lots": None}, "lots and close_position"),
        ({"close_position": True}, "lots and close_position"),
        ({"lots": 0}, "0 lots"),
        ({"type": OrderType.IOC}, "ioc with price None"),
        ({"price_ticks": 3}, "market with price 3"),
        ({"type": OrderType.STOP_MARKET}, "trigger None"),
        ({"trigger_ticks": 3}, "trigger 3"),
        ({"kind": OrderKind.REDUCE}, "REDUCE that may increase"),
        ({"kind": OrderKind.TAKE, "type": OrderType.POST_ONLY, "price_ticks": 3}, "TAKE that may increase"),
    ],
)
def test_an_order_whose_parts_contradict_each_other_cannot_be_made(changes: dict, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        order(**changes)
