"""Write docs/features.md from the catalogue (``make docs``); a test holds the two equal."""

from __future__ import annotations

import math
import sys
from pathlib import Path

from quantlab.features import GROUPS, NAMES, WARMUP, catalogue
from quantlab.features.catalogue import CATALOGUE, FeatureSpec

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "features.md"

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

## Notation

{notation}

*Range* is closed; *neutral* is the value in a market where nothing ever moves or trades; *spans* names the bars of the
formula's windows and the nominal length of its recursions. Every feature is ready after {warmup:,} bars. Sources say where an
idea is known from; "TA-Lib" marks functions that a test compares with.
"""

GROUP = """
## {title}

| # | name | formula | range | neutral | spans | source |
|--:|---|---|---|--:|--:|---|
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
    return HEAD.format(count=len(NAMES), warmup=WARMUP, notation=notation) + "".join(groups)


def row(name: str) -> str:
    """One feature."""
    spec = CATALOGUE[NAMES.index(name)]
    spans = ", ".join(map(str, spec.windows))
    cells = (f"`{name}`", spec.formula.replace("|", "\\|"), interval(spec), number(spec.neutral), spans, spec.source)
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
