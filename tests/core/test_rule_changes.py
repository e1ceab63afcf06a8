"""Bars whose trading rules change: what a slice keeps, and what a fingerprint sees."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from quantlab.core.errors import ContractError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars, Instrument, RuleChange
from quantlab.core.rule_spans import last_rules, map_rules, rule_in_cells, rule_spans

MakeBars = Callable[..., Bars]
OLD = Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5)


def rules(tick: float) -> Instrument:
    return dataclasses.replace(OLD, tick=tick)


@pytest.fixture
def bars(random_bars: MakeBars) -> Bars:
    """S00 changes at row 10 and, off the grid, before row 21; S02 at row 10 and after the last bar."""
    plain = random_bars(seed=1, n_bars=30)
    opens, step = plain.open_time_ms, plain.interval_ms
    changes = (
        RuleChange(int(opens[10]), "S00", rules(0.1)),
        RuleChange(int(opens[10]), "S02", rules(0.2)),
        RuleChange(int(opens[20]) + step // 2, "S00", rules(0.3)),
        RuleChange(int(opens[-1]) + step, "S02", rules(0.4)),
    )
    return dataclasses.replace(plain, rule_changes=changes)


def ticks(instruments: tuple[Instrument, ...]) -> list[float]:
    return [one.tick for one in instruments]


def test_spans_are_the_rows_with_the_same_rules(bars: Bars) -> None:
    spans = [(span.first, span.stop, ticks(span.instruments)) for span in rule_spans(bars)]
    assert spans == [(0, 10, [0.0, 0.0, 0.0]), (10, 21, [0.1, 0.0, 0.2]), (21, 30, [0.3, 0.0, 0.2])]
    assert ticks(last_rules(bars)) == [0.3, 0.0, 0.2]


def test_a_slice_has_the_rules_of_its_own_first_row(bars: Bars) -> None:
    per_row = {t: ticks(span.instruments) for span in rule_spans(bars) for t in range(span.first, span.stop)}
    for t in range(30):
        row = bars.rows(t, t + 1)
        assert ticks(row.instruments) == per_row[t]
        assert [change.time_ms > row.open_time_ms[0] for change in row.rule_changes] == [True] * len(row.rule_changes)
        tail = bars.rows(t, 30)
        for span in rule_spans(tail):
            assert all(per_row[t + k] == ticks(span.instruments) for k in range(span.first, span.stop))
    assert bars.rows(0, 30).rule_changes == bars.rule_changes
    again = bars.rows(5, 25).rows(8, 20)
    assert again.fingerprint() == bars.rows(13, 25).fingerprint()


def test_symbols_and_processes_keep_their_changes(bars: Bars) -> None:
    assert [change.symbol for change in bars.first_symbols(2).rule_changes] == ["S00", "S00"]
    back = copy.deepcopy(bars)  # as pickling does
    assert back.rule_changes == bars.rule_changes


def test_a_fingerprint_without_changes_is_what_it_was(random_bars: MakeBars) -> None:
    plain = random_bars(seed=1, n_bars=30)
    parts = (plain.symbols, plain.interval_ms, plain.instruments, plain.open_time_ms, plain.ohlcv, plain.state, None)
    assert plain.fingerprint() == fingerprint(*parts)


def test_a_fingerprint_sees_changes_that_can_matter_and_no_others(bars: Bars) -> None:
    plain = dataclasses.replace(bars, rule_changes=())
    later = dataclasses.replace(bars, rule_changes=bars.rule_changes[:3])
    other = dataclasses.replace(
        bars, rule_changes=(*bars.rule_changes[:2], dataclasses.replace(bars.rule_changes[2], instrument=rules(9.0)))
    )
    assert bars.fingerprint() == later.fingerprint()
    assert len({bars.fingerprint(), plain.fingerprint(), other.fingerprint()}) == 3
    assert bars.rows(0, 10).fingerprint() == plain.rows(0, 10).fingerprint()


def test_a_rule_in_single_cells_and_another_rule_for_all(bars: Bars) -> None:
    rows, columns = np.array([0, 9, 10, 20, 21, 29]), np.array([0, 2, 2, 0, 0, 1])
    assert rule_in_cells(bars, "tick", rows, columns).tolist() == [0.0, 0.0, 0.2, 0.1, 0.3, 0.0]
    dearer = map_rules(bars, lambda one: dataclasses.replace(one, taker_fee_bps=2.0 * one.taker_fee_bps))
    assert rule_in_cells(dearer, "taker_fee_bps", rows, columns).tolist() == [9.0] * 6
    assert rule_in_cells(dearer, "tick", rows, columns).tolist() == [0.0, 0.0, 0.2, 0.1, 0.3, 0.0]


@pytest.mark.parametrize(
    "keys", [[("S00", 0)], [("S00", -5)], [("X", 3)], [("S00", 3), ("S00", 3)], [("S00", 4), ("S01", 3)]]
)
def test_changes_that_cannot_be_are_refused(random_bars: MakeBars, keys: list[tuple[str, int]]) -> None:
    plain = random_bars(seed=1, n_bars=30)
    start, step = int(plain.open_time_ms[0]), plain.interval_ms
    changes = tuple(RuleChange(start + row * step, symbol, OLD) for symbol, row in keys)
    with pytest.raises(ContractError, match="rule changes of these symbols after the first bar's open, by time"):
        dataclasses.replace(plain, rule_changes=changes)
