"""``job=warmup``: does every feature forget where it started within the promised warm-up?

Thousands of restarts on the configured history, each held bit by bit against the features of the whole; the
table says how many bars each feature needed. ``warmup.json`` in the run folder keeps it.
"""

from __future__ import annotations

from omegaconf import DictConfig
from rich.table import Table
from rich.text import Text

from quantlab.core.errors import ContractError
from quantlab.core.files import write_json
from quantlab.core.ports import FeatureSource
from quantlab.features.certificate import WarmupCertificate, certify
from quantlab.features.memory import warmup_text
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.sections import history_cut
from quantlab.jobs.output.console import stdout_console, terminal_table
from quantlab.jobs.output.run_folder import run_folder
from quantlab.jobs.output.terminal import TerminalProgress


def run(cfg: DictConfig) -> float:
    """Measure, print, keep; the result is the most bars that any feature needed.

    Raises
    ------
    ContractError
        If a feature needed more than the warm-up; the run folder is kept as the evidence.
    QuantlabError
        If data or configuration is refused; no run folder is left behind then.
    """
    console = stdout_console()
    progress = TerminalProgress()
    features: FeatureSource = build(cfg.features)
    source = build(cfg.data)
    with run_folder(cfg, check="warmup") as folder:
        with progress.stage("history", 1) as stage:
            bars = history_cut(cfg).load(source)
            stage.advance()
        with progress.stage("restarts", bars.n_symbols) as stage:
            certificate = certify(
                features, bars, restarts=cfg.job.restarts, horizon=cfg.job.horizon, seed=cfg.seed, stage=stage
            )
        fingerprints = {"feature_fingerprint": certificate.fingerprint, "data_fingerprint": bars.fingerprint()}
        write_json(
            folder.path / "warmup.json", {**certificate.to_dict(), **fingerprints, "synthetic": source.synthetic}
        )
        folder.write_manifest(cfg, fingerprints)
    console.print(_table(certificate))
    console.print(f"run: {folder.final}", highlight=False, soft_wrap=True)
    _require_kept(certificate)
    return float(max(need.most for need in certificate.needs))


def _require_kept(certificate: WarmupCertificate) -> None:
    if certificate.broken:
        worst = certificate.broken[0]
        count = len(certificate.broken)
        raise ContractError(
            f"the bits of the full history after {certificate.warmup} bars, for every feature",
            found=f"{worst.name} needing {worst.most} in {worst.symbol} from {worst.restarted}"
            + (f", and {count - 1} more features" if count > 1 else ""),
            fix="raise its memory or WARMUP, or fix the feature and raise its version",
        )


def _table(certificate: WarmupCertificate) -> Table:
    title = f"bars until the bits agree: {certificate.restarts:,} restarts, warm-up {certificate.warmup:,}"
    caption = f"a warm-up of {certificate.warmup:,} bars is {warmup_text(certificate.warmup)}"
    numbers = ("median", "99 %", "most")
    table = terminal_table(
        "feature", *numbers, "in", "restarted", whole=("feature", "in"), numbers=numbers, title=title, caption=caption
    )
    for need in certificate.needs:
        kept = need.most <= certificate.warmup
        most = Text(f"{need.most:,}", style="" if kept else "red")
        table.add_row(
            need.name, f"{need.median:,}", f"{need.p99:,}", most, need.symbol, need.restarted.replace("T", " ")
        )
    return table
