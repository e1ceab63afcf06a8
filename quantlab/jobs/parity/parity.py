"""``job=parity``: comparison of a paper session with the backtest.

1. The backtest of the configuration: for a learned signal its last test period, otherwise everything after
   the warm-up. With ``bundle=FOLDER`` it is the backtest of that bundle's own strategy, on the data that it was
   tested on: the very object that a session is started with.
2. A paper session over the same bars, bar by bar: the real one, with its gate, signal stream, broker and journal.
3. Given the signal that the session computed, the backtest's orders, fills, risk events and equity marks must be
   those in the journal, bit for bit. That signal is compared with history's: features bit for bit, decisions
   one by one, probabilities within a tolerance.
4. A comparison is valid only if it met enough fills and stops, a halt, a hole and a late listing, and if it
   notices one price that is moved by one ulp. Where that can never be (a strategy without a stop, limits that are off,
   bars without a hole), it is refused before a session is run.

Exit code 0 only when it is valid and nothing differs; ``parity.json`` is written either way.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.table import Table

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.files import partial_prefix, remove_abandoned, require_writable, write_json
from quantlab.core.ports import FeatureSource, Progress
from quantlab.core.types import Signal
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.sections import trust_of
from quantlab.jobs.output.console import stdout_console, terminal_table
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.parity.account_record import AccountRecord, count_compared, count_differing, record_of_backtest
from quantlab.jobs.parity.cases import Case, configured_case, promoted_case, with_promoted_settings
from quantlab.jobs.parity.first_difference import (
    Difference,
    earliest,
    first_differences,
    first_other_decision,
    first_other_probability,
)
from quantlab.jobs.parity.paper_session import PaperSession
from quantlab.jobs.parity.reachable import (
    lacks_of_data,
    lacks_of_limits,
    lacks_of_orders,
    require_reachable,
    shortage_text,
)
from quantlab.jobs.parity.recorded_signal import RecordedSignal, StreamRecord
from quantlab.jobs.parity.signal_comparison import compare_probabilities, count_differing_decisions
from quantlab.jobs.parity.validity import check_needed, count_conditions, self_test, validity_counts
from quantlab.jobs.promotion.bundle import load_bundle

DOCUMENT = "parity.json"


def run(cfg: DictConfig) -> float | None:
    """Compare; the result is the number of differences.

    Raises
    ------
    ConfigError
        If it can never be valid: the strategy and the bars cannot meet ``job.needed``.
    ContractError
        If the comparison is not valid, or anything differs.
    QuantlabError
        If data, configuration or a model is refused.
    """
    if cfg.run is not None:
        raise ConfigError("a bundle, or neither", found=f"run={cfg.run}", fix="promote it and give bundle=FOLDER")
    console, progress, needed = stdout_console(), TerminalProgress(), check_needed(cfg.job.needed)
    folder = Path(cfg.job.folder).resolve()
    require_writable("job.folder", folder)
    if cfg.bundle is None:
        case = configured_case(cfg, progress)
    else:
        bundle = load_bundle(Path(cfg.bundle).resolve(), trust_of(cfg))
        cfg = with_promoted_settings(cfg, bundle)
        case = promoted_case(cfg, bundle, progress)
    if short := _require_reachable(case, needed):
        console.print(short, soft_wrap=True)
    folder.mkdir(parents=True, exist_ok=True)  # not before: what is refused leaves nothing behind
    remove_abandoned(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=partial_prefix("parity")) as name:
        document = compare(cfg, case, Path(name), progress)
    write_json(folder / DOCUMENT, document)
    console.print(_table(document))
    console.print(f"{document['verdict']}: {folder / DOCUMENT}", highlight=False, soft_wrap=True)
    _require_pass(document)
    return 0.0


def _require_reachable(case: Case, needed: dict[str, int]) -> str:
    """Refuse what can never be valid, by the backtest on the signal of history; return what falls short, in words."""
    record = _backtest(case, case.signal)
    counts = count_conditions(record, case.history, case.first, case.last)
    lacks = [
        *lacks_of_orders(record, needed),
        *lacks_of_limits(case.strategy.limits, needed),
        *lacks_of_data(case.history, case.first, case.last, needed),
    ]
    require_reachable(lacks)
    return shortage_text(counts, needed)


def paper_session(cfg: DictConfig) -> PaperSession:
    """Build the parts of a paper session that the configuration names, on a replayed feed."""
    return PaperSession(
        make_feed=build(cfg.job.feed),
        make_broker=build(cfg.execution.broker),
        alerts=build(cfg.execution.alerts),
        rules=build(cfg.execution.session),
        initial_cash=cfg.cash,
    )


def compare(cfg: DictConfig, case: Case, folder: Path, progress: Progress) -> dict[str, Any]:
    """Run both and compare them; return the content of ``parity.json``.

    Parameters
    ----------
    cfg : DictConfig
    case : Case
    folder : Path
        For the sessions' journals.
    progress : Progress
    """
    paper = paper_session(cfg)
    features: FeatureSource = build(cfg.features)
    with progress.stage("features of history", 1) as stage:
        rows = features.transform(case.history).rows(case.first, case.last)
        record = StreamRecord(rows, case.bars.open_time_ms)
        stage.advance()
    recorded = dataclasses.replace(case.strategy, signal=RecordedSignal(case.study.source, features, record))
    warm = case.history.rows(case.warmup_start, case.last)
    with progress.stage("paper session", case.last - case.first) as stage:
        session = paper.run(folder / "session.db", recorded, warm, case.first - case.warmup_start, stage)
    session_signal = record.signal()
    with progress.stage("backtest on the session's signal", 1) as stage:
        backtest = _backtest(case, session_signal)
        stage.advance()
    with progress.stage("one price moved by one ulp", 1) as stage:
        test = self_test(paper, folder, case.strategy, case.history, case.first, session_signal, backtest, stage)
    tolerance = float(cfg.job.probability_tolerance)
    probability_report = compare_probabilities(session_signal, case.signal, tolerance)
    n_decisions = {"decisions": int(session_signal.side.size)}
    n_other_decisions = {"decisions": count_differing_decisions(session_signal, case.signal)}
    lines = {
        "compared": {**count_compared(session, backtest), **n_decisions, "features": record.compared},
        "differing": {**count_differing(session, backtest), **n_other_decisions, "features": record.differing},
    }
    first = first_differences(session, backtest) | _first_in_signals(case, record, session_signal, tolerance)
    conditions = validity_counts(count_conditions(backtest, case.history, case.first, case.last), dict(cfg.job.needed))
    return {
        **_verdict(lines["differing"], conditions, test, probability_report),
        **lines,
        "first_differing": _first_as_dict(first),
        "validity": conditions,
        "self_test": test,
        "probabilities": probability_report,
        "with_the_signal_of_history": _compare_on_signal_of_history(case, session),
        "what": _description(case),
    }


def _first_in_signals(case: Case, record: StreamRecord, signal: Signal, tolerance: float) -> dict[str, Difference]:
    """The first feature, probability and decision that differ, where any does."""
    bars, found = case.bars, {}
    if record.first_differing is not None:
        t, s, name, ours, theirs = record.first_differing
        values = (value if math.isfinite(value) else None for value in (ours, theirs))
        found["features"] = Difference(int(bars.open_time_ms[t]), bars.symbols[s], name, *values)
    if (probability := first_other_probability(bars, signal, case.signal, tolerance)) is not None:
        found["probabilities"] = probability
    if (decision := first_other_decision(bars, signal, case.signal)) is not None:
        found["decisions"] = decision
    return found


def _first_as_dict(found: dict[str, Difference]) -> dict[str, Any]:
    """The first difference of each kind, and the earliest of all, in words; strict JSON."""
    first = earliest(found)
    text = None if first is None else f"{first[0].replace('_', ' ')}, {first[1].text()}"
    return {"earliest": text, **{kind: one.as_dict() for kind, one in found.items()}}


def _backtest(case: Case, signal: Signal) -> AccountRecord:
    simulation = case.engine.run(case.bars, signal, case.strategy, limits_on=True)
    return record_of_backtest(case.bars, signal, case.strategy, simulation)


def _compare_on_signal_of_history(case: Case, session: AccountRecord) -> dict[str, Any]:
    """Compare the session with the backtest of the signal that history computed: its sizes follow the last bit."""
    record = _backtest(case, case.signal)
    pairs = zip(session.equity_marks, record.equity_marks, strict=True)
    largest = max(abs(ours[1] / theirs[1] - 1.0) for ours, theirs in pairs if ours[1] and theirs[1])
    return {"differing": count_differing(session, record), "largest_relative_difference_of_equity": largest}


def _verdict(
    differing: dict[str, int], conditions: dict[str, Any], test: dict[str, Any], probability_report: dict[str, Any]
) -> dict[str, Any]:
    valid = test["noticed"] and all(line["found"] >= line["needed"] for line in conditions.values())
    equal = not any(differing.values()) and probability_report["within_tolerance"]
    return {"valid": valid, "equal": equal, "verdict": "FAIL" if not equal else "PASS" if valid else "UNKNOWN"}


def _description(case: Case) -> dict[str, Any]:
    bars = case.bars
    members = getattr(case.study.source, "members", ())
    return {
        "synthetic": case.synthetic,
        "bundle": case.bundle,
        "bars": bars.n_bars,
        "warmed_up_on": case.first - case.warmup_start,
        "symbols": bars.n_symbols,
        "first": iso_utc(int(bars.open_time_ms[0])),
        "last": iso_utc(int(bars.open_time_ms[-1])),
        "data": case.history.fingerprint(),
        "strategy": case.strategy.fingerprint,
        "members": [member.name for member in members],
    }


def _table(document: dict[str, Any]) -> Table:
    table = terminal_table("", "compared", "differing")
    for name, count in document["compared"].items():
        table.add_row(name.replace("_", " "), f"{count:,}", f"{document['differing'][name]:,}")
    for name, line in document["validity"].items():
        table.add_row(f"met: {name.replace('_', ' ')}", f"{line['found']:,}", f"needed {line['needed']:,}")
    table.add_row("one ulp noticed", "yes" if document["self_test"]["noticed"] else "no", "")
    table.add_row("largest difference of a probability", f"{document['probabilities']['largest_difference']:.3g}", "")
    return table


def _require_pass(document: dict[str, Any]) -> None:
    if document["verdict"] == "PASS":
        return
    if document["verdict"] == "FAIL":
        counts = {name: n for name, n in document["differing"].items() if n}
        found = ", ".join(f"{n:,} differing {name.replace('_', ' ')}" for name, n in counts.items())
        raise ContractError(
            "a paper session that does what the backtest did",
            found=(found or "probabilities further apart than job.probability_tolerance")
            + f"; the first: {document['first_differing']['earliest']}",
            fix=f"do not trade it; {DOCUMENT} has the counts, and under first_differing where each began",
        )
    short = [f"{line['found']} {name}" for name, line in document["validity"].items() if line["found"] < line["needed"]]
    raise ContractError(
        "a comparison that met what it needs (job.needed)",
        found="UNKNOWN: nothing differs, but it met only " + ", ".join(short)
        if short
        else "UNKNOWN: one moved price was not noticed",
        fix="compare over more bars and symbols, or over a period with halts, holes and listings",
    )
