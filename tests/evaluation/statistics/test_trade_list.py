"""The list of trades by hand, and against a plain account that walks bar by bar."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from quantlab.core.market import HIGH, LOW, OPEN, PrintFlag
from quantlab.core.results import OrderReason
from quantlab.evaluation.statistics.trade_list import trade_list

SIGNAL, STOP, TAKE, TIME = (
    int(reason) for reason in (OrderReason.SIGNAL, OrderReason.STOP, OrderReason.TAKE_PROFIT, OrderReason.TIME_EXIT)
)
AT_OPEN = {OrderReason.SIGNAL, OrderReason.TIME_EXIT, OrderReason.FLATTEN}


@pytest.fixture
def wavy(bars_of):
    """Six bars: closes 100, 110, 90, 105, 120, 100; each opens at the close before it."""
    return bars_of(np.array([[100.0, 110.0, 90.0, 105.0, 120.0, 100.0]]).T)


def only(table: pd.DataFrame) -> dict[str, object]:
    assert len(table) == 1
    return table.iloc[0].to_dict()


def test_one_long_in_full(booked, wavy):
    row = only(trade_list(booked(wavy, [(1, 0, 2.0, 100.0, 0.5, SIGNAL), (4, 0, -2.0, 105.0, 0.25, TIME)]), wavy))
    start = pd.Timestamp("2025-03-16", tz="UTC")
    assert row == {
        "symbol": "S0",
        "side": "long",
        "entry_time": start + pd.Timedelta(hours=1),
        "exit_time": start + pd.Timedelta(hours=4),
        "bars": 3,
        "size": 2.0,
        "entry_price": 100.0,
        "exit_price": 105.0,
        "fees": 0.75,
        "pnl": 9.25,
        "return": 9.25 / 200.0,
        "entry_reason": "signal",
        "exit_reason": "time_exit",
        "mae": pytest.approx(-0.1),
        "mfe": pytest.approx(0.1),  # 110 in bars 1 and 2; the 120 of bar 4 came after the exit at its open
        "closed": True,
    }


def test_an_exit_within_a_bar_counts_its_whole_range(booked, wavy):
    row = only(trade_list(booked(wavy, [(1, 0, 2.0, 100.0, 0.0, SIGNAL), (4, 0, -2.0, 118.0, 0.0, TAKE)]), wavy))
    assert (row["exit_reason"], row["mfe"], row["bars"]) == ("take_profit", pytest.approx(0.2), 3)


def test_a_short_turns_the_sides_around(booked, wavy):
    row = only(trade_list(booked(wavy, [(1, 0, -1.0, 100.0, 0.0, SIGNAL), (3, 0, 1.0, 100.0, 0.0, STOP)]), wavy))
    assert (row["side"], row["mae"], row["mfe"]) == ("short", pytest.approx(-0.1), pytest.approx(0.1))


def test_an_open_trade_goes_to_the_last_bar_and_has_no_exit(booked, wavy):
    fills = [(2, 0, 2.0, 110.0, 0.0, SIGNAL), (3, 0, -1.0, 90.0, 0.0, SIGNAL)]
    row = only(trade_list(booked(wavy, fills), wavy))
    assert row["exit_time"] is pd.NaT
    assert (row["exit_reason"], row["closed"], row["bars"]) == ("open", False, 4)
    assert (row["mae"], row["mfe"]) == (pytest.approx(-20 / 110), pytest.approx(10 / 110))
    assert row["pnl"] == pytest.approx(-20.0 - 10.0)


def test_opened_and_closed_within_one_bar(booked, wavy):
    row = only(trade_list(booked(wavy, [(2, 0, 1.0, 110.0, 0.0, SIGNAL), (2, 0, -1.0, 95.0, 0.0, STOP)]), wavy))
    assert (row["bars"], row["mae"], row["mfe"]) == (0, pytest.approx(-20 / 110), 0.0)


@pytest.mark.parametrize(("flag", "mfe"), [(PrintFlag.CLEAN, 0.2), (PrintFlag.WITHIN, 0.05), (PrintFlag.STANDS, 0.05)])
def test_a_suspect_print_is_no_gain(booked, bars_of, flag, mfe):
    bars = bars_of(np.array([[100.0, 105.0, 120.0, 80.0, 100.0]]).T)
    suspect = np.zeros(bars.state.shape, np.uint8)
    suspect[2:4] = flag  # the 120 as high, the 80 as low
    bars = dataclasses.replace(bars, suspect=suspect)
    row = only(trade_list(booked(bars, [(1, 0, 1.0, 100.0, 0.0, SIGNAL), (4, 0, -1.0, 80.0, 0.0, SIGNAL)]), bars))
    assert (row["mae"], row["mfe"]) == (pytest.approx(-0.2), pytest.approx(mfe))  # and a loss is a loss


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_against_a_walk_over_every_bar(booked, fills_of, random_bars, seed):
    bars = random_bars(seed, n_bars=500, n_symbols=3)
    suspect = (np.random.default_rng(seed).random(bars.state.shape) < 0.05).astype(np.uint8)
    bars = dataclasses.replace(bars, suspect=suspect)
    simulation = booked(bars, fills_of(bars, seed, gap=20))
    table = trade_list(simulation, bars)
    rows = walked(simulation, bars)
    assert len(table) == len(rows) > 30
    assert {"long", "short"} == set(table["side"])
    assert not table["closed"].all()
    assert table["entry_time"].is_monotonic_increasing
    assert (table["mae"] <= 0.0).all()
    assert (table["mfe"] >= 0.0).all()
    pd.testing.assert_frame_equal(
        table.sort_values(["symbol", "entry_time"], kind="stable", ignore_index=True), pd.DataFrame(rows), rtol=1e-9
    )


def test_no_orders_no_rows(booked, wavy):
    assert len(trade_list(booked(wavy, []), wavy)) == 0


def walked(simulation, bars) -> list[dict[str, object]]:
    """Every trade of an account, symbol by symbol, from its fills and from every single bar it was held in."""
    rows = []
    for column, symbol in enumerate(bars.symbols):
        held, trade = 0.0, {}
        for order, reason in zip(simulation.orders, simulation.reasons.tolist(), strict=True):
            if order["col"] != column:
                continue
            signed = float(order["size"]) * (-1 if order["side"] else 1)
            if held == 0.0:
                trade = {"side": math.copysign(1, signed), "entry": int(order["idx"]), "in": [], "out": [], "fees": 0.0}
                trade["entry_reason"] = reason
            trade["in" if signed * trade["side"] > 0 else "out"].append((abs(signed), float(order["price"])))
            trade["fees"] += float(order["fees"])
            held = 0.0 if abs(held + signed) < 1e-12 else held + signed
            if held == 0.0:
                rows.append(finished(trade, symbol, column, bars, int(order["idx"]), reason))
        if held != 0.0:
            trade["out"].append((abs(held), float(bars.close[-1, column])))
            rows.append(finished(trade, symbol, column, bars, None, None))
    return rows


def finished(trade, symbol, column, bars, exit_row, reason) -> dict[str, object]:
    (size, entry), (_, leave) = (
        (sum(units for units, _ in legs), sum(units * price for units, price in legs) / sum(units for units, _ in legs))
        for legs in (trade["in"], trade["out"])
    )
    pnl = trade["side"] * (leave - entry) * size - trade["fees"]
    seen = [0.0]
    for row in range(trade["entry"], bars.n_bars if exit_row is None else exit_row + 1):
        only_open = row == exit_row and reason in AT_OPEN
        for price in bars.ohlcv[row, column, [OPEN] if only_open else [HIGH, LOW]].tolist():
            move = trade["side"] * (price / entry - 1.0)
            if move < 0.0 or bars.suspect[row, column] == PrintFlag.CLEAN:
                seen.append(move)
    time = pd.to_datetime(bars.open_time_ms, unit="ms", utc=True)
    return {
        "symbol": symbol,
        "side": "long" if trade["side"] > 0 else "short",
        "entry_time": time[trade["entry"]],
        "exit_time": pd.NaT if exit_row is None else time[exit_row],
        "bars": (bars.n_bars if exit_row is None else exit_row) - trade["entry"],
        "size": size,
        "entry_price": entry,
        "exit_price": leave,
        "fees": trade["fees"],
        "pnl": pnl,
        "return": pnl / (size * entry),
        "entry_reason": OrderReason(trade["entry_reason"]).name.lower(),
        "exit_reason": "open" if exit_row is None else OrderReason(reason).name.lower(),
        "mae": min(seen),
        "mfe": max(seen),
        "closed": exit_row is not None,
    }
