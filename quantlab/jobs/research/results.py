"""Steps before and after a simulation: load the history, print first numbers, write files, print results."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from quantlab.core.files import write_json
from quantlab.core.market import Bars
from quantlab.core.ports import HasModels, Progress
from quantlab.data.quality.breaks import break_note
from quantlab.evaluation.report.words import cuts_in_words
from quantlab.evaluation.statistics.unknown_rules import unknown_rule_notes
from quantlab.jobs.output.run_folder import RunFolder
from quantlab.jobs.output.tables import (
    summary_table,
    verdict_line,
    write_benchmarks,
    write_equity,
    write_orders,
    write_trades,
)
from quantlab.jobs.research.idle import idle_note
from quantlab.jobs.research.metrics import Judgement, in_multirun
from quantlab.jobs.research.pipeline import Backtest, Setup
from quantlab.jobs.research.settled_positions import settled_notes
from quantlab.jobs.threshold_tuning.record import chosen_table, tuning_notes, write_trials


def load_history(parts: Setup, progress: Progress) -> Bars:
    """The configured part of the history."""
    with progress.stage("history", 1) as stage:
        bars = parts.cut.load(parts.source)
        stage.advance()
    return bars


def print_equity(console: Console, parts: Setup, result: Backtest) -> None:
    """The first numbers, before anything slow is imported; before them why nothing was traded, where nothing was."""
    idle = idle_note(parts.signal, result)
    if idle:
        console.print(f"{idle}.")
    start, end = result.evidence.initial_cash, result.evidence.equity[-1]
    console.print(
        f"equity {start:,.2f} -> {end:,.2f} USD, {len(result.evidence.orders):,} fills (limits off)", highlight=False
    )


def write_results(folder: RunFolder, document: dict[str, Any], result: Backtest, judgement: Judgement) -> None:
    """``metrics.json``, orders, equity, trades and benchmarks as parquet files; ``tuning.json`` where something was tuned."""
    accounts = {"evidence": result.evidence, "lived": result.lived}
    write_json(folder.path / "metrics.json", document)
    write_trials(folder, result.study.tuning)
    write_orders(folder.path / "orders.parquet", accounts)
    write_equity(folder.path / "equity.parquet", accounts)
    write_trades(folder.path / "trades.parquet", accounts, result.bars)
    write_benchmarks(folder.path / "benchmarks.parquet", result.evidence, judgement.benchmarks.curves)


def models_used(result: Backtest) -> dict[str, Any]:
    """Ids of the last fold's members, for the run's manifest; empty for a signal that was not learned."""
    source = result.study.source
    return source.models() if isinstance(source, HasModels) else {}


def print_results(console: Console, parts: Setup, folder: RunFolder, result: Backtest, judgement: Judgement) -> None:
    """The tables, the verdict, what it means, and where everything is."""
    if result.study.tuning:
        console.print(chosen_table(result.study.tuning))
    console.print(summary_table({"evidence": judgement.evidence, "lived": judgement.lived}))
    console.print(verdict_line("verdict", judgement.verdict))
    for line in (
        *(remark for remark in result_remarks(judgement) if remark != f"{judgement.idle}."),  # it stands at the top
        *(f"{note}." for note in settled_notes(result.evidence, result.bars)),
        *(f"{note}." for note in tuning_notes(result.study.tuning)),
        *(["The market is synthetic."] if parts.source.synthetic else []),
    ):
        console.print(line, highlight=False)
    shown = folder.final / "report.html"
    console.print(f"report: {shown}" if shown.is_file() else f"run: {folder.final}", highlight=False, soft_wrap=True)


def multirun_notes() -> tuple[str, ...]:
    """Sentence on a multirun: the verdict of one run does not cover choosing the best of many."""
    if not in_multirun():
        return ()
    return ("This run is one of a sweep: its verdict counts one trial and does not cover choosing the best of them.",)


def result_remarks(judgement: Judgement) -> list[str]:
    """Reasons of a run without a trade, suspicions, unmended prices, what the rules changed and where they were unknown, and how the costs paid compare with what the trades could bear."""
    evidence, idle = judgement.evidence, [f"{judgement.idle}."] if judgement.idle else []
    sentences = [*idle, *judgement.suspicions, *multirun_notes()]
    sentences += [note for note in (break_note(judgement.breaks),) if note]
    changed = cuts_in_words(evidence["cuts"])
    if changed:
        sentences.append(f"Rules changed what the strategy asked for: {changed} (docs/simulation.md).")
    sentences += [f"{note}." for note in unknown_rule_notes(judgement.unknown_rules)]
    if evidence["cost_bps"] is not None:
        sentences.append(
            f"Fees and slippage were {evidence['cost_bps']:.2f} bps of traded notional; "
            f"the trades could bear {evidence['break_even_cost_bps']:.2f} bps."
        )
    if judgement.oracle is not None:
        sentences.append(
            f"An oracle that sees the planted edge has an after-cost Sharpe ratio of {judgement.oracle['sharpe']:.1f}."
        )
    return sentences
