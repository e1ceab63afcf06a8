"""Output of a sweep: files of the run folder, and the terminal's tables."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from hydra.utils import get_method
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from quantlab.core.files import write_bytes, write_json, write_text
from quantlab.data.quality.breaks import break_numbers, find_breaks
from quantlab.evaluation.report.content import AccountResult
from quantlab.evaluation.sweep.content import SweepReport
from quantlab.evaluation.sweep.maps import short_names, value_text, values_text
from quantlab.evaluation.sweep.scenario_scores import ScenarioScore
from quantlab.evaluation.sweep.scores import count_distinct, sharpe_dispersion, sharpe_quantiles
from quantlab.jobs.output.console import terminal_table
from quantlab.jobs.output.run_folder import RunFolder, resolved_yaml
from quantlab.jobs.output.tables import verdict_line, write_benchmarks, write_equity, write_orders, write_trades
from quantlab.jobs.research.benchmarks import Benchmarks, benchmark_numbers, run_benchmarks
from quantlab.jobs.research.metrics import common_metrics, rules_unknown_to, unknown_numbers
from quantlab.jobs.research.pipeline import Setup
from quantlab.jobs.research.report_content import account_notes, data_label, run_stamps
from quantlab.jobs.research.settled_positions import settled_notes
from quantlab.jobs.sweep.best import Best, uncapped_deflation
from quantlab.jobs.sweep.notes import sweep_idle_note, sweep_notes
from quantlab.jobs.sweep.simulations import PreparedSweep

#: Files beside the page in the run's folder, as the page names them.
FILES = {
    "sweep.csv": "every parameter set",
    "sweep.parquet": "the same, typed",
    "daily_returns.npy": "their returns by day",
    "metrics.json": "every number of this page",
    "orders.parquet": "orders of the best",
    "trades.parquet": "its trades",
    "equity.parquet": "its equity at every bar",
    "benchmarks.parquet": "that of the benchmarks",
}
#: Parameters that have a column each on the terminal; more share one.
MOST_COLUMNS = 5
#: Scenarios that the terminal lists, from the cheapest on.
MOST_SCENARIOS = 20


def write_sweep(cfg: DictConfig, folder: RunFolder, parts: Setup, prepared: PreparedSweep, best: Best) -> None:
    """Every file of the run: all parameter sets with their results, and the records of the best."""
    fingerprints = sweep_fingerprints(parts, prepared, best)
    benchmarks = run_benchmarks(parts, best.result, int(cfg.seed))
    metrics = sweep_metrics(cfg, parts, prepared, best, fingerprints)
    write_json(folder.path / "metrics.json", metrics | {"benchmarks": benchmark_numbers(benchmarks, best.result)})
    write_table(folder, best)
    write_orders(folder.path / "orders.parquet", best.accounts)
    write_equity(folder.path / "equity.parquet", best.accounts)
    write_trades(folder.path / "trades.parquet", best.accounts, prepared.bars)
    write_benchmarks(folder.path / "benchmarks.parquet", best.accounts["evidence"], benchmarks.curves)
    content = sweep_report(cfg, folder, parts, prepared, best, benchmarks, fingerprints)
    page: str = get_method(cfg.internal.sweep_report)(content)
    write_text(folder.path / "report.html", page)
    folder.write_manifest(cfg, fingerprints)


def write_table(folder: RunFolder, best: Best) -> None:
    """``sweep.parquet`` and ``sweep.csv``, one row per parameter set, and ``daily_returns.npy`` (N, D) in the same order."""
    table = best.table
    columns: dict[str, Any] = {name: _column([values[name] for values in table.values]) for name in table.names}
    rank = np.empty(len(table), np.int64)
    rank[best.order] = np.arange(1, len(table) + 1)
    columns |= {"rank": rank, "sharpe": pa.array(best.sharpe, from_pandas=True), **table.numbers}
    written = pa.table(columns)
    pq.write_table(written, folder.path / "sweep.parquet", compression="zstd")
    pa.csv.write_csv(written, folder.path / "sweep.csv")
    buffer = io.BytesIO()
    np.save(buffer, table.daily_returns)
    write_bytes(folder.path / "daily_returns.npy", buffer.getvalue())


def _column(values: list[Any]) -> Any:
    """Values of one kind as they are; `off` beside numbers is null, other mixtures are text."""
    flags = all(isinstance(value, bool) for value in values)
    known = [None if not flags and (value is None or value is False or value == "off") else value for value in values]
    kinds = {type(value) for value in known if value is not None}
    if kinds <= {int, float}:
        return pa.array([float(v) if v is not None and float in kinds else v for v in known])
    return pa.array(known if len(kinds) == 1 else [value_text(value) for value in values])


def sweep_fingerprints(parts: Setup, prepared: PreparedSweep, best: Best) -> dict[str, str]:
    """Fingerprints of all that the result is a function of."""
    return {
        "data_fingerprint": prepared.history.fingerprint(),
        "feature_fingerprint": parts.feature_fingerprint,
        "signal_fingerprint": prepared.maker.study.source.fingerprint,
        "strategy_fingerprint": best.strategy.fingerprint,
        "sweep_fingerprint": prepared.key(),
    }


def sweep_metrics(
    cfg: DictConfig, parts: Setup, prepared: PreparedSweep, best: Best, fingerprints: dict[str, str]
) -> dict[str, Any]:
    """The content of ``metrics.json``."""
    return {
        **common_metrics(cfg, parts, prepared.history, prepared.bars),
        "verdict": best.verdict.verdict,
        "judgement": best.verdict.as_dict(),
        "evidence": best.evidence,
        "lived": best.lived,
        "unknown_rules": unknown_numbers(rules_unknown_to(best.strategy, best.accounts["evidence"], prepared.bars)),
        "breaks": break_numbers(find_breaks(prepared.history)),
        "sweep": {
            "tried": best.table.tried,
            "simulated": len(best.table),
            "impossible": prepared.plan.impossible,
            "sharpe": sharpe_quantiles(best.family_sharpe),
            "luck_sharpe": best.luck_sharpe,
            **_dispersion(best),
            "judged_scenario": best.judged,
            "scenarios": [_scenario(best, one) for one in best.scenarios],
            "best": _row(best, best.row),
            "top": [_row(best, int(row)) for row in best.score.order[: int(cfg.job.top)]],
        },
        **fingerprints,
    }


def _dispersion(best: Best) -> dict[str, Any]:
    """Deviation between the annual Sharpe ratios, error of one by chance, and number of distinct accounts."""
    apart, by_chance = sharpe_dispersion(best.family.daily_returns) or (None, None)
    literal_luck, literal_dsr = uncapped_deflation(best) or (None, None)
    return {
        "sharpe_deviation": apart,
        "sharpe_error": by_chance,
        "uncapped_luck_sharpe": literal_luck,
        "uncapped_dsr": literal_dsr,
        "different_accounts": count_distinct(best.family.daily_returns),
    }


def _scenario(best: Best, one: ScenarioScore) -> dict[str, Any]:
    return {
        "assumed": one.scenario.assumed,
        "tried": one.scenario.tried,
        "simulated": len(one.scenario.rows),
        "best": _row(best, one.row),
        "luck_sharpe": one.luck_sharpe,
        "dsr": one.dsr,
        "elsewhere": [float(value) if np.isfinite(value) else None for value in one.sharpe_by_scenario],
    }


def _row(best: Best, row: int) -> dict[str, Any]:
    numbers = {name: column[row].item() for name, column in best.table.numbers.items()}
    finite = {name: value if np.isfinite(value) else None for name, value in numbers.items()}
    sharpe = float(best.sharpe[row])
    return {"values": best.table.values[row], "sharpe": sharpe if np.isfinite(sharpe) else None, **finite}


def sweep_report(
    cfg: DictConfig,
    folder: RunFolder,
    parts: Setup,
    prepared: PreparedSweep,
    best: Best,
    benchmarks: Benchmarks,
    fingerprints: dict[str, str],
) -> SweepReport:
    """Everything that the page shows."""
    return SweepReport(
        experiment=str(cfg.experiment_name),
        data_label=data_label(prepared.history),
        synthetic=parts.source.synthetic,
        bars=prepared.bars,
        evidence=AccountResult(best.accounts["evidence"], best.evidence),
        lived=AccountResult(best.accounts["lived"], best.lived),
        table=best.table,
        sharpe=best.sharpe,
        scenarios=best.scenarios,
        judged=best.judged,
        top=int(cfg.job.top),
        listed=int(cfg.job.listed),
        verdict=best.verdict,
        idle=sweep_idle_note(parts, best),
        notes=(*sweep_notes(prepared, best), *account_notes(best.accounts["evidence"], prepared.bars)),
        stamps={
            **run_stamps(cfg, folder),
            **{name.removesuffix("_fingerprint"): value for name, value in fingerprints.items()},
        },
        config_text=resolved_yaml(cfg),
        benchmarks=benchmarks.curves,
        files=FILES,
    )


def print_sweep(
    console: Console, cfg: DictConfig, parts: Setup, folder: RunFolder, prepared: PreparedSweep, best: Best
) -> None:
    """The best, the verdict on the first of them, and where everything is; first of all why nothing was traded, where nothing was."""
    idle = sweep_idle_note(parts, best)
    if idle:
        console.print(f"{idle}.")
    console.print(top_table(best, int(cfg.job.top)))
    if len(best.scenarios) > 1:
        console.print(scenario_table(best))
    console.print(verdict_line("verdict on the best", best.verdict))
    settled = (f"{note}." for note in settled_notes(best.accounts["evidence"], prepared.bars))
    for line in (
        *sweep_notes(prepared, best),
        *settled,
        *(["The market is synthetic."] if parts.source.synthetic else []),
    ):
        console.print(line, highlight=False)
    console.print(f"report: {folder.final / 'report.html'}", highlight=False, soft_wrap=True)


def top_table(best: Best, top: int) -> Table:
    """Parameters and results of the first rows of the ranking."""
    names, numbers = best.table.names, best.table.numbers
    results = ("Sharpe", "equity", "drawdown\n%", "trades", "all\ncosts")
    short, apart = short_names(names), len(names) <= MOST_COLUMNS
    short = [name.replace(" ", "\n") for name in short] if apart else short
    table = terminal_table(
        *(short if apart else ["parameters"]), *results, whole=(), numbers=(*short, *results), caption="USD"
    )
    for row in best.score.order[:top]:
        texts = [value_text(best.table.values[row][name]) for name in names]
        together = ", ".join(f"{name} = {text}" for name, text in zip(short, texts, strict=True))
        table.add_row(
            *(texts if apart else [together]),
            format(best.sharpe[row], "+.2f") if np.isfinite(best.sharpe[row]) else "-",
            format(numbers["final_equity"][row], ",.0f"),
            format(100.0 * numbers["max_drawdown"][row], ".2f"),
            format(int(numbers["trades"][row]), ",d"),
            format(numbers["costs"][row], ",.0f"),
        )
    return table


def scenario_table(best: Best) -> Table:
    """The best of every scenario, deflated by what was tried there."""
    numbers = ("best\nSharpe", "luck", "deflated", "the judged\nbest")
    table = terminal_table("assumed", *numbers, whole=(), numbers=numbers)
    for i, one in enumerate(best.scenarios[:MOST_SCENARIOS]):
        ratios = (best.sharpe[one.row], one.luck_sharpe, one.dsr, best.score.sharpe_by_scenario[i])
        forms = ("+.2f", "+.2f", ".3f", "+.2f")
        shown = (
            "-" if value is None or not np.isfinite(value) else format(value, form)
            for value, form in zip(ratios, forms, strict=True)
        )
        table.add_row(values_text(one.scenario.assumed), *shown, style="bold" if i == best.judged else "")
    return table
