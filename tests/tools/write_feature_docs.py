"""Write docs/features.md from the catalogue (``make docs``); a test holds the two equal."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import yaml

from quantlab.features import GROUPS, NAMES, WARMUP, FeaturePipeline, catalogue
from quantlab.features.catalogue import CATALOGUE, MEAN_RANGE, FeatureSpec
from quantlab.features.memory import MEMORY, days_text, warmup_days

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PAGE = REPOSITORY / "docs" / "features.md"
SETS = ("unified49", "finite_windows", "short_windows")

HEAD = """\
# The unified {count}

<!-- Written from quantlab/features/catalogue.py by `make docs`. Edit there. -->

{count} features per symbol and bar, the same in training, backtest, paper and live: not by discipline, but because there is
one piece of code, and because every value is a pure function of the bars behind it.

## One path

```mermaid
flowchart LR
  subgraph source [market data]
    H[history]
    B[next bar]
  end
  G[quality gate<br/>one fold over bars:<br/>dense grid, short holes filled]
  S[["step(state, bar) -> {count}<br/>compiled once"]]
  X[["extra windows<br/>your own features"]]
  C{{{{contract<br/>names, order, fingerprint,<br/>finite in ready rows}}}}
  H --> G
  B --> G
  G -->|all bars: a loop over step| S
  G -->|one bar: one call of step| S
  G --> X
  S --> F[Features: values, ready,<br/>names, fingerprint]
  X --> F
  F --> C
  C -->|history| T[training, backtest]
  C -->|one row| L[paper, live]
  T -->|names and fingerprint<br/>in every artifact| C
```

- **Batch is a loop over the step, live is one call of it.** Tests hold them equal bit for bit: history, stream, random
  chunks with a saved and restored state, any number of threads, permuted and dropped symbols.
- **Where the history began leaves no trace.** Windows are aggregated in blocks aligned to the clock, without running
  sums; recursions forget their start to the last bit within the warm-up of **{warmup:,} bars**. Before that a row is not
  ready and holds NaN. `python -m quantlab job=warmup` measures it on your data and fails if a feature needs more.
  [Sets without recursions](#sets) are ready sooner.
- **A ready row is finite and in range**, whatever the market does; the neutral value stands where a formula has none.
- **A hole resets.** The quality gate alone fills short holes, the same way in history and live; a longer hole starts the
  symbol's warm-up again.
- **No scale.** Multiplying prices or volumes by a power of two changes no bit, so that coins can be pooled.
- **The contract is checked before every fit and every prediction**: ordered names, fingerprint (definitions, versions,
  windows, dtype, interval, the text of extra features) and finite values. A refusal names both sides and the first
  difference, and `quantlab.features.feature_mismatch_total()` counts it.
- **Drift**: `quantlab.features.drift` holds live rows against the training distribution (PSI and KS, bounded memory);
  [a paper session](paper.md#drift) watches it.
- **Memory**: `compute(..., out=array)` writes where an earlier call wrote. Fresh memory is cleared by the system page by
  page, which two threads share: `make bench` shows both, each beside its own limit.
- **Your own**: [add a feature in 5 steps](add-a-feature.md).

In a notebook, any of them beside the price:

```python
from quantlab.evaluation.report.feature_figure import feature_figure
feature_figure(bars, features, symbol="BTC", name="rsi_14").show()
```

## Sets

A warm-up is counted in bars: 1,536 of them are five days of 5-minute bars and four years of daily ones. So the set of features is a
choice, and each has the warm-up of its own longest memory:

| `features=` | columns | warm-up, bars | {intervals} |
|---|--:|--:|{rules}
{sets}

The values of a column are the same bits in every set; what is left out is left out of the models, by name, and the fingerprint is the set's own.
`features.columns=[...]` chooses others of the {count} (in any order; they stand in the catalogue's), and the pipeline finds the warm-up:
`finite_windows` without `bvc_imbalance_48` is ready after 289 bars, and any of the {recursions} columns without a *memory* below brings {warmup:,}. Everything
that waits for features (samples, sessions, parity, audits) asks the pipeline, and
`python -m quantlab job=warmup features=finite_windows job.horizon=400` certifies a set on your data; `warmup.json` and the
table say what the warm-up is in days of 5m, 1h, 4h, 1d and 1w bars.

**Stops, sizes and labels** need an average true range. Wilder's (`natr_14`) is a recursion; a set without it has the plain mean of 14 bars in its place:
`{mean_range}` = {mean_formula}, one more column behind the chosen ones, computed from the last 15 bars in history and live
alike. It is a feature like the others, part of names and fingerprint, and `trading` and `learning` take it wherever they take the ATR.
A barrier of 2 ATR is therefore another barrier in such a set.

```
python -m quantlab experiment=baseline features=short_windows features.interval_ms=86400000 \\
    data=parquet data.root=DAILY trading.signal.fast=5 trading.signal.slow=20
```

Windows stay counts of bars: 288 daily bars are 288 days. Options that were chosen for 5-minute bars (`learning.splits.*`, `barriers.horizon`,
`learning.ensemble.liveness_bars`, `trading.signal.*`) want smaller numbers on days. A network that reads a column by name refuses a set without it before
anything is fitted (`learning.members.nhits.exogenous`), and a tuning trial that asks for one counts as failed.

## Notation

{notation}

*Range* is closed; *neutral* is the value in a market where nothing ever moves or trades; *spans* names the bars of the
formula's windows and the nominal length of its recursions; *memory* is the number of bars after which no earlier bar matters, to the last
bit (empty for recursions: {warmup:,} is enough for all). Sources say where an idea is known from; "TA-Lib" marks functions that a test compares with.
"""

GROUP = """
## {title}

| # | name | formula | range | neutral | spans | memory | source |
|--:|---|---|---|--:|--:|--:|---|
{rows}
"""


def page() -> str:
    """The whole page."""
    groups = (
        GROUP.format(title=f"{group.capitalize()} ({len(names)})", rows="\n".join(map(row, names)))
        for group, names in GROUPS.items()
    )
    paragraphs = str(catalogue.__doc__).split("\n\n")
    notation = next(text for text in paragraphs if text.startswith("Notation: ")).removeprefix("Notation: ")
    intervals = list(warmup_days(1))
    head = HEAD.format(
        count=len(NAMES),
        warmup=WARMUP,
        notation=notation,
        intervals=" | ".join(f"of {interval}" for interval in intervals),
        rules="--:|" * len(intervals),
        sets="\n".join(map(set_row, SETS)),
        recursions=sum(name not in MEMORY for name in NAMES),
        mean_range=MEAN_RANGE.name,
        mean_formula=MEAN_RANGE.formula,
    )
    return head + "".join(groups)


def set_row(name: str) -> str:
    """One feature set of `conf/features`."""
    conf = yaml.safe_load((REPOSITORY / "conf" / "features" / f"{name}.yaml").read_text(encoding="utf-8"))
    pipeline = FeaturePipeline(interval_ms=300_000, threads=1, columns=conf["columns"])
    times = " | ".join(map(days_text, warmup_days(pipeline.warmup).values()))
    chosen = len(pipeline.columns or NAMES)
    beside = "" if pipeline.columns is None else f" and `{MEAN_RANGE.name}`"
    return f"| `{name}` | {chosen}{beside} | {pipeline.warmup:,} | {times} |"


def row(name: str) -> str:
    """One feature."""
    spec = CATALOGUE[NAMES.index(name)]
    spans = ", ".join(map(str, spec.windows))
    ranges, memory = (interval(spec), number(spec.neutral)), str(MEMORY.get(name, ""))
    cells = (f"`{name}`", spec.formula.replace("|", "\\|"), *ranges, spans, memory, spec.source)
    return f"| {NAMES.index(name)} | {' | '.join(cells)} |"


def interval(spec: FeatureSpec) -> str:
    """The closed range in words."""
    if math.isinf(spec.low) and math.isinf(spec.high):
        return "real"
    if math.isinf(spec.high):
        return f">= {number(spec.low)}"
    return f"<= {number(spec.high)}" if math.isinf(spec.low) else f"{number(spec.low)} .. {number(spec.high)}"


def number(value: float) -> str:
    """Short, and ln 2 by its name."""
    return "ln 2" if value == math.log(2.0) else f"{value:g}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}: {len(NAMES)} features\n")
