"""The report of a run, through the renderer that the configuration names."""

from __future__ import annotations

import numpy as np
from hydra.utils import get_method
from omegaconf import DictConfig

import quantlab
from quantlab.core.clock import iso_utc
from quantlab.core.market import Bars
from quantlab.core.ports import DataSource, HasDataNotes, HasUniverseNotes
from quantlab.core.results import Simulation
from quantlab.data.quality.breaks import break_note
from quantlab.data.quality.coverage import coverage
from quantlab.evaluation.report.content import AccountResult, Report
from quantlab.evaluation.statistics.unknown_rules import unknown_rule_notes
from quantlab.jobs.output.run_folder import RunFolder, resolved_yaml
from quantlab.jobs.research.metrics import Judgement
from quantlab.jobs.research.pipeline import Backtest, Setup
from quantlab.jobs.research.results import multirun_notes
from quantlab.jobs.research.settled_positions import settled_notes
from quantlab.jobs.research.suspect_prints import hold_notes
from quantlab.jobs.threshold_tuning.record import tuning_notes

SURVIVORS = (
    "The symbols are those that the data hold, on every date: no dated universe says who could be traded when "
    "(survivorship). Whoever was delisted or forgotten since is missing, which flatters results; job=universe takes snapshots"
)


def tear_sheet(
    cfg: DictConfig,
    folder: RunFolder,
    parts: Setup,
    result: Backtest,
    judgement: Judgement,
    fingerprints: dict[str, str],
) -> str:
    """The run as one self-contained HTML page."""
    history = result.history
    report = Report(
        experiment=cfg.experiment_name,
        data_label=data_label(history),
        synthetic=parts.source.synthetic,
        verdict=judgement.verdict,
        evidence=AccountResult(result.evidence, judgement.evidence),
        lived=AccountResult(result.lived, judgement.lived),
        bars=result.bars,
        benchmarks=judgement.benchmarks.curves,
        signal=result.study.report,
        stamps=run_stamps(cfg, folder),
        fingerprints={name.removesuffix("_fingerprint"): value for name, value in fingerprints.items()},
        notes=(
            *judgement.suspicions,
            *tuning_notes(result.study.tuning),
            *multirun_notes(),
            *oracle_notes(judgement),
            *account_notes(result.evidence, result.bars),
            *hold_notes(judgement.suspect_prints),
            *unknown_rule_notes(judgement.unknown_rules),
            *universe_notes(parts.source, history),
        ),
        findings=coverage(history).findings(),
        config_text=resolved_yaml(cfg),
        tuning=result.study.tuning,
        stress=judgement.stress,
        unmended=break_note(judgement.breaks),
        idle=judgement.idle,
    )
    html: str = get_method(cfg.internal.report)(report)
    return html


def data_label(history: Bars) -> str:
    """Number of symbols and bar interval, in words."""
    return f"{history.n_symbols} perpetuals, {history.interval_ms // 60_000}-minute bars"


def run_stamps(cfg: DictConfig, folder: RunFolder) -> dict[str, str]:
    """Name, start, seed and version of a run, as its report shows them."""
    return {
        "run": folder.final.name,
        "started": iso_utc(folder.started_ms),
        "seed": str(cfg.seed),
        "quantlab": quantlab.__version__,
    }


def oracle_notes(judgement: Judgement) -> tuple[str, ...]:
    """Sentence on the best possible result in a synthetic market."""
    oracle = judgement.oracle
    if oracle is None:
        return ()
    known = "undefined" if oracle["label_auc"] is None else f"{oracle['label_auc']:.3f}"
    return (
        f"An oracle that sees the planted edge has a directional AUC of {known} and an after-cost Sharpe ratio of "
        f"{oracle['sharpe']:.1f} on these bars, trading equal weights without limits",
    )


def account_notes(simulation: Simulation, bars: Bars) -> tuple[str, ...]:
    """Sentences on positions that the ledger could not price or that ended with their market, and on entries without a free slot."""
    counts = (
        (
            simulation.missing_funding,
            "times a held position met a funding stamp without a rate and was charged nothing",
        ),
        (simulation.stale_marks, "times a held position was marked at an old price, because its symbol did not print"),
    )
    refused = simulation.cuts["max_positions"]
    used = len(np.unique(simulation.orders["col"]))
    slots = f"{used} of {len(simulation.symbols)} symbols were ever traded: {refused:,} entries found no free slot (larger targets go first, then symbol order)"
    return (
        *(f"{count:,} {text}" for count, text in counts if count),
        *settled_notes(simulation, bars),
        *([slots] if refused else []),
    )


def universe_notes(source: DataSource, bars: Bars) -> tuple[str, ...]:
    """Sentences of the source on its universe and its data; none on a synthetic market.

    A source without a dated universe gets :data:`SURVIVORS`.
    """
    if source.synthetic:
        return ()
    data = source.data_notes() if isinstance(source, HasDataNotes) else ()
    universe = source.universe_notes(bars) if isinstance(source, HasUniverseNotes) else (SURVIVORS,)
    return tuple(note[:1].upper() + note[1:] for note in (*universe, *data))
