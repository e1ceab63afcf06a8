"""The coverage report on a hand-made history, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.core.market import Bars, BarState, Funding, Instrument
from quantlab.data import Gap, QualityReport, Streak, coverage

START_MS, STEP_MS = 1_746_057_600_000, 300_000
T, Z, F, A, _ = BarState
STATES = np.array(
    [
        # alone, late, never
        [T, A, A],
        [Z, A, A],  # one symbol alone without volume is not a stop of the venue
        [F, T, A],
        [A, Z, A],
        [Z, Z, A],
        [Z, Z, A],
        [T, T, A],
        [Z, F, A],
        [T, F, A],
    ],
    dtype=np.uint8,
)


def at(row: int) -> int:
    return START_MS + STEP_MS * row


@pytest.fixture
def report() -> QualityReport:
    instrument = Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5)
    ohlcv = np.where((STATES == A)[:, :, None], np.nan, 1.0) * np.ones(5)
    rate = np.array([[1e-5, np.nan, np.nan], [1e-5, 1e-5, np.nan]])
    funding = Funding(np.array([at(0), at(0) + 3_600_000]), rate)
    times = START_MS + STEP_MS * np.arange(len(STATES), dtype=np.int64)
    names = ("ALONE", "LATE", "NEVER")
    return coverage(Bars(ohlcv, times, STEP_MS, STATES, names, (instrument,) * 3, funding))


def test_counts_listing_holes_and_runs(report: QualityReport) -> None:
    alone, late, never = report.symbols.values()
    assert (alone.traded, alone.zero_volume, alone.filled, alone.absent) == (3, 4, 1, 1)
    assert (late.traded, late.zero_volume, late.filled, late.absent) == (2, 3, 2, 2)
    assert (alone.listed_ms, late.listed_ms, never.listed_ms) == (at(0), at(2), None)
    assert alone.gaps == (Gap(at(1), at(4), 2),)
    assert late.gaps == (Gap(at(6), None, 2),)
    assert never.gaps == ()
    assert (alone.longest_zero_volume, never.longest_zero_volume) == (Streak(at(4), 2), None)
    assert late.longest_zero_volume == Streak(at(3), 3)
    assert [quality.funding_stamps for quality in report.symbols.values()] == [2, 1, 0]


def test_a_venue_stop_needs_every_printing_symbol_and_two_of_them(report: QualityReport) -> None:
    assert report.venue_stops == (Streak(at(4), 2),)


def test_findings_are_sentences(report: QualityReport) -> None:
    assert report.findings() == (
        "venue-wide stop of 2 bars from 2025-05-01T00:20:00Z",
        "ALONE: 2 missing bars after 2025-05-01T00:05:00Z, back at 2025-05-01T00:20:00Z",
        "ALONE: 57.14% of its bars have no volume, the longest run 2 bars from 2025-05-01T00:20:00Z",
        "LATE: listed late, at 2025-05-01T00:10:00Z",
        "LATE: 2 missing bars after 2025-05-01T00:30:00Z, never came back",
        "LATE: 60.00% of its bars have no volume, the longest run 3 bars from 2025-05-01T00:15:00Z",
        "NEVER: has no bar in this period",
    )
