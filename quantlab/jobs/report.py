"""The report of a run, through the renderer that the configuration names."""

from __future__ import annotations

from hydra.utils import get_method
from omegaconf import DictConfig

import quantlab
from quantlab.core.clock import iso_utc
from quantlab.core.types import Bars, Float64Array
from quantlab.data.coverage import coverage
from quantlab.evaluation.benchmarks import buy_and_hold, equal_weight
from quantlab.evaluation.report import Report, Run
from quantlab.jobs.backtesting import Backtest, Setup
from quantlab.jobs.metrics import Judgement
from quantlab.jobs.run_folder import RunFolder, resolved_yaml

_SHOWN_FINDINGS = 12


def tear_sheet(
    cfg: DictConfig, folder: RunFolder, parts: Setup, result: Backtest, judgement: Judgement, prints: dict[str, str]
) -> str:
    """The run as one self-contained HTML page."""
    history = result.history
    report = Report(
        experiment=cfg.experiment_name,
        data_label=f"{history.n_symbols} perpetuals, {history.interval_ms // 60_000}-minute bars",
        synthetic=parts.source.synthetic,
        verdict=judgement.verdict,
        evidence=Run(result.evidence, judgement.evidence),
        lived=Run(result.lived, judgement.lived),
        bars=result.bars,
        benchmarks=benchmarks(result),
        signal=result.study.report,
        stamps={
            "run": folder.final.name,
            "started": iso_utc(folder.started_ms),
            "seed": str(cfg.seed),
            "quantlab": quantlab.__version__,
        },
        fingerprints={name.removesuffix("_fingerprint"): value for name, value in prints.items()},
        notes=notes(history),
        config_text=resolved_yaml(cfg),
    )
    html: str = get_method(cfg.report)(report)
    return html


def benchmarks(result: Backtest) -> dict[str, Float64Array]:
    """Equity curves to stand beside the strategy, on the same bars; free of costs, so hard to beat."""
    cash = result.evidence.initial_cash
    first = result.bars.symbols[0]
    return {
        f"{first} buy and hold": buy_and_hold(result.bars, cash),
        "equal weight": equal_weight(result.bars, cash),
    }


def notes(bars: Bars) -> tuple[str, ...]:
    """What the quality gate saw and a reader must know."""
    findings = coverage(bars).findings()
    more = len(findings) - _SHOWN_FINDINGS
    return (*findings[:_SHOWN_FINDINGS], *([f"and {more} more findings of the quality gate"] if more > 0 else []))
