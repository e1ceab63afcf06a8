"""A study of any source of signals: a learner walks forward, a plain source is asked once."""

from __future__ import annotations

import numpy as np

from quantlab.core.errors import HistoryError
from quantlab.core.market import Bars
from quantlab.core.ports import HasWarmup, Learner, Progress, SignalSource
from quantlab.core.results import Study

#: Advice where a warm-up is too long for a history.
SHORTER_WARMUP = "choose features that are ready sooner (features=short_windows with features.interval_ms of your bars: after 55 bars)"


def study_signal(source: Learner | SignalSource, bars: Bars, progress: Progress) -> Study:
    """Walk a learner forward; ask a plain source once, from the first row on which it knows or says anything.

    That is the first one past the warm-up, or a signal of the user's own before it: what was brought is played whole.

    Raises
    ------
    HistoryError
        If there is no such row.
    """
    if isinstance(source, Learner):
        return source.study(bars, progress)
    with progress.stage("signal", 1) as stage:
        signal = source.signal(bars)
        stage.advance()
    ready = (np.isfinite(signal.atr) | (signal.live_members > 0)).any(axis=1)
    if not ready.any():
        warmup = warmup_of(source)
        raise HistoryError(
            "a history longer than the features' warm-up" + (f", which is {warmup:,} bars" if warmup else ""),
            found=f"{bars.n_bars:,} bars, none of them ready",
            fix=f"load a longer history (history.start, history.bars), or {SHORTER_WARMUP}",
        )
    return Study(signal, int(np.argmax(ready)), bars.n_bars, source, None)


def warmup_of(source: SignalSource) -> int | None:
    """The warm-up of a source, or of the features that it reads; None if neither is known."""
    if isinstance(source, HasWarmup):
        return source.warmup
    return getattr(getattr(source, "features", None), "warmup", None)
