"""A study of any source of signals: a learner walks forward, a plain source is asked once."""

from __future__ import annotations

import numpy as np

from quantlab.core.errors import HistoryError
from quantlab.core.market import Bars
from quantlab.core.ports import Learner, Progress, SignalSource
from quantlab.core.results import Study


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
        raise HistoryError(
            "a history longer than the features' warm-up",
            found=f"{bars.n_bars} bars, none of them ready",
            fix="load a longer history (history.start, history.bars)",
        )
    return Study(signal, int(np.argmax(ready)), bars.n_bars, source, None)
