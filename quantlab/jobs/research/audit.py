"""``job=audit``: check the configured pipeline for leaks, and name the stage and the column.

1. read the history, and look at how it was chosen;
2. put every stage under other futures, alone and then together;
3. learn on shuffled labels, and hold the members' AUC against what can be known;
4. print what was found, write ``audit.json`` and ``audit.md``; exit with 3 if there is a leak.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from omegaconf import DictConfig
from rich.text import Text

from quantlab.audit.chance_checks import check_auc, check_position_auc
from quantlab.audit.context import AuditContext, AuditDepth, AuditedParts
from quantlab.audit.findings import AuditLog, AuditReport
from quantlab.audit.leak_checks import (
    check_account,
    check_learning,
    check_parts,
    check_shuffled_labels,
    check_threshold_search,
)
from quantlab.audit.page import audit_page, audit_table
from quantlab.core.arrays import Int8Array
from quantlab.core.errors import QuantlabError
from quantlab.core.files import partial_prefix, write_json, write_text
from quantlab.core.market import Bars
from quantlab.core.ports import Progress
from quantlab.core.results import Study
from quantlab.core.types import Labels
from quantlab.jobs.config.composition import build
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.output.run_folder import require_folders, run_folder
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.research.metrics import in_multirun
from quantlab.jobs.research.oracle import oracle_numbers
from quantlab.jobs.research.pipeline import Setup, setup
from quantlab.jobs.research.results import load_history

#: Exit code: the check was made, and the answer is no.
_LEAK = 3


def run(cfg: DictConfig) -> float | None:
    """Check, print, write; the result is the number of findings.

    Raises
    ------
    QuantlabError
        If data, configuration or a model is refused; no run folder is left behind then.
    SystemExit
        With code 3, if there is a leak; not in a sweep, which goes on.
    """
    console = stdout_console()
    with run_folder(cfg, check="audit") as folder:
        report = audit(cfg, TerminalProgress())
        write_json(folder.path / "audit.json", report.as_dict())
        write_text(folder.path / "audit.md", audit_page(str(cfg.experiment_name), report))
        folder.write_manifest(cfg, {"leaks": report.leaks})
    console.print(audit_table(report))
    for finding in report.findings:
        words = f"{finding.stage}: {finding.column}; {finding.where}. {finding.evidence}"
        console.print(Text.assemble(("leak", "red"), f" {words}"))
    for note in report.notes:
        console.print(note, style="dim")
    console.print(f"report: {folder.final / 'audit.md'}", highlight=False, soft_wrap=True)
    if report.leaks and not in_multirun():
        sys.exit(_LEAK)
    return float(len(report.findings))


def audit(cfg: DictConfig, progress: Progress) -> AuditReport:
    """Check what `cfg` composes for leaks; for notebooks and tests.

    Parameters
    ----------
    cfg : DictConfig
        With ``job=audit``.
    progress : Progress

    Raises
    ------
    QuantlabError
        If data, configuration or a model is refused.
    """
    depth: AuditDepth = build(cfg.job.checks)
    require_folders(cfg, "cache_dir")
    parts, log = setup(cfg), AuditLog()
    bars = load_history(parts, progress)
    cache = Path(cfg.cache_dir)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=partial_prefix("audit")) as folder:
        context = AuditContext(depth, audited_parts(cfg, parts), bars, log, Path(folder), progress)
        check_parts(context)
        with progress.stage("the signal as it is", 1) as stage:
            study = context.learn(bars)
            stage.advance()
        check_learning(context, study)
        chosen, strategy = check_threshold_search(context, study)
        account, simulation = check_account(context, chosen, strategy)
        check_shuffled_labels(context)
        known = oracle_auc(log, cfg, parts, study, bars)
        check_auc(log, study.report, known)
        label = tested_labels(cfg, study, bars)
        if not log.found():  # a leak that is known already would only show in the positions too
            check_position_auc(log, account, simulation, label, known, depth.bootstrap_samples, depth.seed)
    return log.report()


def audited_parts(cfg: DictConfig, parts: Setup) -> AuditedParts:
    """Parts that the audit checks, of all that were constructed."""
    return AuditedParts(
        parts.source,
        parts.cut,
        parts.signal,
        parts.make_strategy,
        parts.engine,
        parts.thresholds,
        rebuild=lambda: build(cfg.strategy),
    )


def tested_labels(cfg: DictConfig, study: Study, history: Bars) -> Int8Array:
    """int8 (T, S): labels of the tested rows."""
    rows = slice(study.first_row, study.last_row)
    labels: Labels = build(cfg.learning.labels).label(history.rows(rows.start, rows.stop), study.signal.atr[rows])
    return labels.label


def oracle_auc(log: AuditLog, cfg: DictConfig, parts: Setup, study: Study, history: Bars) -> float | None:
    """AUC of a synthetic market's own truth on the tested labels; None on a real market."""
    if not parts.source.synthetic:
        return None
    bars, label = history.rows(study.first_row, study.last_row), tested_labels(cfg, study, history)
    try:
        known = oracle_numbers(parts.source, bars, label, horizon=parts.barriers.horizon, cost_bps=0.0)
    except QuantlabError as error:
        log.note(f"signal: the oracle cannot be asked ({type(error).__name__}), so the AUC has no bound")
        return 1.0
    return 1.0 if known is None or known["label_auc"] is None else float(known["label_auc"])
