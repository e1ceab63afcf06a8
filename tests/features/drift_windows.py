"""How many features of a real market leave their training distribution in a day, three days, a week, two weeks.

``python tests/features/drift_windows.py DATA_ROOT``

The first 60 days are the training; every window lies behind them. Also prints what watching costs: CPU time
of one bar, of one look, and the bytes that a snapshot keeps.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from quantlab.core.types import Features
from quantlab.features.drift import Drift
from quantlab.features.drift_reference import DriftReference
from quantlab.jobs.config.composition import build, compose

TRAIN_DAYS = 60


def alerts_of_windows(
    rules: Drift, reference: DriftReference, features: Features, days: int, per_day: int
) -> list[int]:
    """Features on alert in each window of so many days, half of it after the one before."""
    found = []
    for start in range(TRAIN_DAYS * per_day, len(features.ready) - days * per_day + 1, max(days // 2, 1) * per_day):
        monitor = rules.monitor(reference)
        monitor.update(features.rows(start, start + days * per_day))
        found.append(len(monitor.report().alerts))
    return found


def costs(rules: Drift, reference: DriftReference, features: Features) -> str:
    """CPU time of the newest 2,000 bars one by one, and of a look."""
    monitor, seconds = rules.monitor(reference), []
    for t in range(len(features.ready) - 2_000, len(features.ready)):
        row = features.rows(t, t + 1)
        before = time.thread_time()
        monitor.update(row)
        seconds.append(time.thread_time() - before)
    before = time.thread_time()
    monitor.report()
    look = time.thread_time() - before
    p50, p99 = 1e6 * np.percentile(seconds, [50, 99])
    return f"a bar {p50:.0f} us (p99 {p99:.0f}), a look {1e3 * look:.1f} ms, kept {len(monitor.state()):,} bytes"


def main() -> None:
    """Measure and print."""
    cfg = compose("data=parquet", f"data.root={sys.argv[1]}")
    rules, bars = build(cfg.drift), build(cfg.data).history()
    features, per_day = build(cfg.features).transform(bars), 86_400_000 // bars.interval_ms
    reference = rules.reference(features, features.ready & (np.arange(bars.n_bars) < TRAIN_DAYS * per_day)[:, None])
    out = [f"{bars.n_symbols} symbols, {reference.rows:,} training rows, {len(features.names)} features"]
    for days in (1, 3, 7, 14):
        found = alerts_of_windows(rules, reference, features, days, per_day)
        out.append(f"{days:>2} days, {len(found)} windows: median {np.median(found):g} on alert, at most {max(found)}")
    sys.stdout.write("\n".join([*out, costs(rules, reference, features)]) + "\n")


if __name__ == "__main__":
    main()
