"""First bar of a replayed session: the one after the strategy's warm-up, unless ``execution.feed.start`` names another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quantlab.core.clock import iso_utc, parse_utc
from quantlab.core.errors import HistoryError
from quantlab.core.market import Bars
from quantlab.core.ports import Journal
from quantlab.jobs.promotion.bundle import Bundle, last_test_start
from quantlab.learning.study.study_signal import SHORTER_WARMUP, warmup_of


@dataclass(frozen=True)
class ReplayStart:
    """The first bar that a session trades where nothing names another.

    Parameters
    ----------
    time : str
        ISO 8601, UTC; its open.
    words : str
        One line that says why, for the screen; empty where the session only goes on.
    """

    time: str
    words: str


def replay_start(journal: Journal, strategy: Any, bundle: Bundle | None, history: Bars) -> ReplayStart:
    """Return where a replay begins: after the warm-up, or where the session of a journal once began.

    Parameters
    ----------
    journal : Journal
    strategy : Strategy
    bundle : Bundle or None
        That the strategy comes from.
    history : Bars
        That is replayed.

    Raises
    ------
    HistoryError
        If a new session's history is no longer than the warm-up.
    """
    opens, began = history.open_time_ms, journal.latest("began")
    if began is not None:
        before = began.facts.get("history")
        first_ms = int(opens[0]) if before is None else before["last_ms"] + history.interval_ms
        return ReplayStart(iso_utc(first_ms), "")
    warmup = warmup_of(strategy.signal) or 0
    if history.n_bars <= warmup:
        raise HistoryError(
            f"a history longer than the strategy's warm-up, which is {warmup:,} bars",
            found=f"{history.n_bars:,} bars",
            fix=f"load a longer history (history.start, history.bars), or {SHORTER_WARMUP}",
        )
    first = iso_utc(int(opens[warmup]))
    words = f"replay from {first}, after the strategy's warm-up of {warmup:,} bars (execution.feed.start: another first bar)"
    return ReplayStart(first, words + _seen_in_training(bundle, int(opens[warmup])))


def _seen_in_training(bundle: Bundle | None, first_ms: int) -> str:
    """Say which of the replayed bars the members know from training."""
    unseen = None if bundle is None else last_test_start(bundle)
    if unseen is None or parse_utc(unseen) <= first_ms:
        return ""
    return f"; its members were fitted on bars up to {unseen}: what they forecast before it is no evidence"
