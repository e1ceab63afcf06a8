"""Loss streak, stop rate, and the breaker's release by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantlab.core.errors import ConfigError
from quantlab.core.results import OrderReason, RiskEvent
from quantlab.trading import Replay, reset_breaker

NAN, INF = np.nan, np.inf
START, STEP = 1_742_083_200_000, 300_000
FLAT = [100.0, 100.0, 100.0, 100.0, 1e9]
LOW = [100.0, 100.0, 97.0, 100.0, 1e9]  # a long with a stop of 2 is stopped, and the close is back
HIGH = [100.0, 103.0, 100.0, 100.0, 1e9]  # one with a take-profit of 2 gains

#: Entering every second bar: bars 1, 3, 5, .. open and the same bar stops or gains.
STOPPED, GAINED = [FLAT, LOW], [FLAT, HIGH]


def trades(*kinds):
    rows = [row for kind in kinds for row in kind]
    n = len(rows)
    target = [0.1 if t % 2 == 0 else NAN for t in range(n)]
    return rows, {"target": target, "stop_distance": [2.0] * n, "take_distance": [2.0] * n}


def events(simulation):
    return [(int(e["idx"]), RiskEvent(int(e["kind"])).name, float(e["level"])) for e in simulation.events]


def entries(simulation):
    return simulation.orders["idx"][simulation.reasons == OrderReason.SIGNAL].tolist()


def test_a_loss_streak_halts_once_and_counts_each_refusal(market, play):
    rows, given = trades(*[STOPPED] * 5)
    result = play(market(rows), **given, limits={"loss_streak": 3})
    assert events(result) == [(5, "LOSS_STREAK", 3.0)]
    assert result.events["equity"][0] == result.equity[5]
    assert entries(result) == [1, 3, 5]
    assert result.cuts["halt"] == 2


def test_a_gain_ends_the_streak(market, play):
    rows, given = trades(STOPPED, STOPPED, GAINED, STOPPED, STOPPED, STOPPED, STOPPED)
    result = play(market(rows), **given, limits={"loss_streak": 3})
    assert events(result) == [(11, "LOSS_STREAK", 3.0)]


def test_a_loss_is_what_the_fills_lost_with_their_fees(market, play, free):
    """A round trip at one price loses its fees, and is no loss without them."""
    rows = [FLAT] * 8
    given = {"target": [0.1, 0.0] * 4}
    assert events(play(market(rows), **given, limits={"loss_streak": 2})) == []
    taxed = market(rows, instrument=free(taker_fee_bps=1.0))
    assert events(play(taxed, **given, limits={"loss_streak": 2})) == [(4, "LOSS_STREAK", 2.0)]


def test_a_position_is_one_loss_however_many_fills_it_has(market, play):
    """Added to, and reduced in a gain, and closed in a loss that is larger: one loss; a flip closes one too."""
    up, down = [101.0] * 4 + [1e9], [80.0] * 4 + [1e9]
    rows = [FLAT, FLAT, up, down, down, FLAT, FLAT, FLAT]
    result = play(market(rows), target=[0.5, 0.3, NAN, -0.1, NAN, 0.0, NAN, NAN], limits={"loss_streak": 2})
    assert result.orders["idx"].tolist() == [1, 2, 4, 4, 6]
    assert events(result) == [(6, "LOSS_STREAK", 2.0)]


def test_a_streak_belongs_to_a_utc_day(market, play):
    rows, given = trades(*[STOPPED] * 6)
    bars = market(rows, start_ms=START - 4 * STEP)  # bars 0 .. 3 are yesterday's: two losses
    result = play(bars, **given, limits={"loss_streak": 3})
    assert events(result) == [(9, "LOSS_STREAK", 3.0)]
    bars = market(rows, start_ms=START - 6 * STEP)  # three losses, halted at the last bar of yesterday
    result = play(bars, **given, limits={"loss_streak": 3})
    assert events(result) == [(5, "LOSS_STREAK", 3.0), (11, "LOSS_STREAK", 3.0)]
    assert entries(result) == [1, 3, 5, 7, 9, 11]  # decided at the close of bar 6, the first of the day


def test_the_stop_rate_halts_on_so_many_stops_in_a_window(market, play):
    rows, given = trades(*[STOPPED] * 5)
    # stops at bars 1, 3, 5: the first and the third are 20 minutes apart
    for minutes, expected in ((20.001, [(5, "STOP_RATE", 3.0)]), (20.0, [])):
        result = play(market(rows), **given, limits={"max_stops": 3, "stop_window_minutes": minutes})
        assert events(result) == expected
    result = play(market(rows), **given, limits={"max_stops": 3, "stop_window_minutes": 30.0})
    assert entries(result) == [1, 3, 5]
    assert result.cuts["halt"] == 2


def test_take_profits_are_no_stops_and_several_stops_of_one_bar_are(market, play):
    rows, given = trades(*[GAINED] * 5)
    assert events(play(market(rows), **given, limits={"max_stops": 1, "stop_window_minutes": 60.0})) == []
    bars = market([[FLAT] * 3, [LOW] * 3, [FLAT] * 3])
    result = play(
        bars,
        target=[[0.1] * 3, [NAN] * 3, [NAN] * 3],
        stop_distance=[[2.0] * 3] * 3,
        limits={"max_stops": 3, "stop_window_minutes": 0.001},
    )
    assert events(result) == [(1, "STOP_RATE", 3.0)]


def test_the_stop_window_runs_over_midnight_and_the_latch_does_not(market, play):
    rows, given = trades(*[STOPPED] * 5)
    bars = market(rows, start_ms=START - 6 * STEP)
    result = play(bars, **given, limits={"max_stops": 3, "stop_window_minutes": 60.0})
    # three stops yesterday; released at midnight; the next stop is again the third within the hour
    assert events(result) == [(5, "STOP_RATE", 3.0), (7, "STOP_RATE", 3.0)]
    assert entries(result) == [1, 3, 5, 7]


def test_the_stop_memory_wraps_around(market, play):
    rows, given = trades(*[STOPPED] * 70)
    limits = {"max_stops": 64, "stop_window_minutes": 64 * 10.0 - 9.0}
    result = play(market(rows), **given, limits=limits)
    assert events(result) == [(127, "STOP_RATE", 64.0)]
    rows, given = trades(*[GAINED] * 10, *[STOPPED] * 70)
    assert events(play(market(rows), **given, limits=limits)) == [(147, "STOP_RATE", 64.0)]


def test_both_rules_refuse_entries_and_never_a_close_and_are_off_without_limits(market, play):
    rows, given = trades(*[STOPPED] * 5)
    both = {"loss_streak": 2, "max_stops": 2, "stop_window_minutes": 60.0}
    result = play(market(rows), **given, limits=both)
    assert events(result) == [(3, "LOSS_STREAK", 2.0), (3, "STOP_RATE", 2.0)]
    assert events(play(market(rows), **given, limits=both, limits_on=False)) == []
    calm = [[100.0] * 4 + [1e9]] * 6
    result = play(
        market([[a, b] for a, b in zip([FLAT, LOW, *calm], [FLAT] * 8, strict=True)]),
        target=[[0.1, 0.1], [NAN, NAN], [NAN, 0.0], [0.1, 0.1], *[[NAN, NAN]] * 4],
        stop_distance=[[2.0, INF]] * 8,
        limits={"loss_streak": 1},
    )
    assert result.units.tolist() == [0.0, 0.0]
    assert result.cuts["halt"] == 2


@pytest.mark.parametrize(
    "limits",
    [
        {"loss_streak": 0},
        {"loss_streak": 2.5},
        {"max_stops": 65, "stop_window_minutes": 60.0},
        {"max_stops": 3},
        {"stop_window_minutes": 0.0},
    ],
)
def test_impossible_values_are_refused(strategy, limits):
    with pytest.raises(ConfigError, match=next(reversed(limits)) if len(limits) == 1 else "max_stops"):
        dataclasses.replace(strategy().limits, **limits)


def test_the_breaker_is_released_by_hand(market, signal, strategy):
    rows = [FLAT, FLAT] + [[80.0] * 4 + [1e9]] * 4 + [[70.5] * 4 + [1e9]] * 2 + [[70.0] * 4 + [1e9]] * 2
    bars = market(rows)
    signals = signal(bars, target=[0.6, NAN, 0.5, 0.5, 1.0, NAN, NAN, NAN, NAN, NAN])
    account = Replay(
        strategy(limits={"breaker": 0.12}), bars.symbols, bars.instruments, bars.interval_ms, initial_cash=10_000.0
    )
    for t in range(bars.n_bars):
        if t == 4:
            reset_breaker(account.state)
        account.update(bars.rows(t, t + 1), signals.rows(t, t + 1))
    result = account.simulation()
    # 8,800 at the reset; from there 12 % are 7,744: 110 units of 80 at 70.4
    assert events(result) == [(2, "BREAKER", 8_800.0), (8, "BREAKER", 0.88 * 8_800.0)]
    assert entries(result) == [1, 5]
