"""Keep the record of a finished run: ``python tests/tools/write_experiment.py RUN_FOLDER "QUESTION" "COMMAND"``.

Writes ``experiments/<experiment>/``: the question, the verdict in words and the command in README.md,
``metrics.json`` as it came out, and one figure.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pyarrow.parquet as pq
from code_commit import belongs_to, code_commit

mpl.use("svg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parent.parent.parent
README = """\
# {experiment}

**Question.** {question}

**Verdict: {verdict}.** {words}

| | evidence (limits off) | lived (limits on) |
|---|---|---|
{rows}

{members}
![equity](equity.svg)

Out of sample from {first} to {last}; {symbols} symbols. Reproduce with

```
{command}
```

Every number is in [metrics.json](metrics.json). {belongs}
"""
ROWS = (
    ("total_return", "return", "{:+.2%}"),
    ("sharpe", "Sharpe ratio, annual", "{:.2f}"),
    ("sharpe_se", "its standard error", "{:.2f}"),
    ("max_drawdown", "max drawdown", "{:.2%}"),
    ("trades", "trades", "{:,}"),
    ("hit_rate", "winning trades", "{:.1%}"),
    ("stop_hit_share", "stopped out", "{:.1%}"),
    ("turnover", "turnover, times equity a day", "{:.1f}"),
    ("cost_bps", "fees and slippage paid, bps of traded notional", "{:.2f}"),
    ("break_even_cost_bps", "break-even cost, bps of traded notional", "{:.2f}"),
)


def shown(form: str, value: Any) -> str:
    """A number, or a dash where it is undefined."""
    return "-" if value is None else form.format(value)


def member_table(metrics: dict[str, Any]) -> str:
    """Every configured member and its out-of-sample record."""
    if not metrics["members"]:
        return ""
    lines = ["| member | directional AUC | log loss | weight | influence |", "|---|---|---|---|---|"]
    for name, m in metrics["members"].items():
        auc = f"{shown('{:.4f}', m['auc'])} ± {shown('{:.4f}', m['auc_se'])}"
        rest = (shown("{:.4f}", m["log_loss"]), shown("{:.3f}", m["weight"]), shown("{:.3f}", m["influence"]))
        lines.append(f"| {name} | {auc} | {' | '.join(rest)} |")
    return "\n".join(lines) + "\n"


def draw(run: Path, target: Path) -> None:
    """Both equity curves, thinned to a thousand points, on a logarithmic axis."""
    table = pq.read_table(run / "equity.parquet")
    rows = np.unique(np.linspace(0, table.num_rows - 1, 1000).astype(int))
    time = table["time"].to_numpy()[rows]
    mpl.rcParams["svg.hashsalt"] = "quantlab"
    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    for name, label in (("evidence", "evidence (limits off)"), ("lived", "lived (limits on)")):
        axes.plot(time, table[f"{name}_equity"].to_numpy()[rows], label=label, linewidth=1.2)
    axes.set(yscale="log", ylabel="equity, USD")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    figure.savefig(target, metadata={"Date": None})


def main() -> None:
    """Write the record of the run named on the command line."""
    run, question, command = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    metrics = json.loads((run / "metrics.json").read_text())
    folder = ROOT / "experiments" / metrics["experiment"]
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / "metrics.json", folder / "metrics.json")
    draw(run, folder / "equity.svg")
    evidence, lived = metrics["evidence"], metrics["lived"]
    rows = "\n".join(f"| {text} | {shown(f, evidence[key])} | {shown(f, lived[key])} |" for key, text, f in ROWS)
    text = README.format(
        experiment=metrics["experiment"],
        question=question,
        verdict=metrics["verdict"],
        words=metrics["judgement"]["words"],
        rows=rows,
        members=member_table(metrics),
        command=command,
        belongs=belongs_to(code_commit()),
        symbols=evidence["symbols"],
        first=metrics["period"]["first"],
        last=metrics["period"]["last"],
    )
    (folder / "README.md").write_text(text)


if __name__ == "__main__":
    main()
