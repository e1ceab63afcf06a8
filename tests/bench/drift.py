"""Row about watching drift: what a session pays for it on every bar."""

from __future__ import annotations

import numpy as np
from measure import INTERVAL, Row, cpu_medians, market

from quantlab.features import FeaturePipeline
from quantlab.features.drift import Drift

BARS, SYMBOLS = 2_592, 100
RULES = Drift(100, 10, 200_000, 288, 14, 2_016, 0.1, 0.25, 0.1, 0.2)


def drift_rows() -> list[Row]:
    """One bar of 100 symbols counted, against making that bar's features."""
    bars = market(BARS, SYMBOLS)
    pipeline = FeaturePipeline(INTERVAL, 1)
    features = pipeline.transform(bars)
    reference = RULES.reference(features, np.ones(features.ready.shape, dtype=bool))
    rows = [features.rows(t, t + 1) for t in range(BARS - 288, BARS)]
    live = [bars.rows(t, t + 1) for t in range(BARS)]
    stream = pipeline.stream(bars.symbols, INTERVAL)
    for bar in live[:-288]:
        stream.update(bar)
    warm = stream.state()

    def make() -> None:
        stream.restore(warm)
        for bar in live[-288:]:
            stream.update(bar)

    def count() -> None:
        monitor = RULES.monitor(reference)
        for row in rows:
            monitor.update(row)

    made, counted = (seconds / 288 for seconds in cpu_medians(make, count))
    ours, yardstick = f"{counted * 1e6:.0f} us a bar", f"its features {made * 1e6:.0f} us"
    return [Row("drift watched, 100 symbols", ours, yardstick, counted / made)]
