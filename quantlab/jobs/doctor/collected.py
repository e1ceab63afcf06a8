"""The doctor's check of the collected dataset: whole, up to date, and without holes."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from quantlab.core.clock import SystemClock, iso_utc
from quantlab.core.errors import QuantlabError
from quantlab.core.files import sha256_file
from quantlab.data.store.day_files import BARS, FUNDING
from quantlab.data.store.manifest import NAME, Manifest, read_manifest
from quantlab.jobs.doctor.check import Check, Status, checked, shortened

_NAME = "collected data"
_HOUR_MS = 3_600_000


def collected_manifest(cfg: DictConfig) -> Manifest | None:
    """The dataset's table of contents, None where nothing was collected.

    Raises
    ------
    ArtifactError
        If it is damaged.
    """
    root = Path(str(cfg.job.collected))
    return read_manifest(root) if (root / NAME).is_file() else None


def check_collected(cfg: DictConfig) -> Check:
    """Hash every file; say how far each symbol reaches and what is missing."""
    root = Path(str(cfg.job.collected))
    try:
        manifest = collected_manifest(cfg)
        if manifest is None:
            return Check(_NAME, Status.NOT_SET_UP, f"nothing in {root}", "python -m quantlab job=collect")
        damaged = [
            stored.path(root, part).name
            for part, stored in sorted(manifest.files.items())
            if not stored.path(root, part).is_file() or sha256_file(stored.path(root, part)) != stored.sha256
        ]
    except QuantlabError as error:
        return Check(_NAME, Status.BROKEN, f"{error.expected}; found {error.found}", error.fix)
    if damaged:
        lines = [f"{len(damaged)} of {len(manifest.files)} files are missing or damaged", *damaged]
        return Check(
            _NAME, Status.BROKEN, shortened(lines), f"python -m quantlab job=collect job.root={root} job.repair=true"
        )
    fact, *findings = _facts(manifest, float(cfg.job.oldest_hours))
    return checked(_NAME, findings, fact)


def _facts(manifest: Manifest, oldest_hours: float) -> list[str]:
    """Sentences on the dataset: its extent first, then everything that is wrong with it."""
    ends = {
        symbol: max((end for _, end in facts.covered.get(BARS, ())), default=0)
        for symbol, facts in manifest.symbols.items()
    }
    newest = max(ends.values(), default=0)
    size = sum(stored.size for stored in manifest.files.values())
    lines = [
        f"{len(ends)} symbols of {manifest.exchange} until {iso_utc(newest)}, {size / 1e6:.1f} MB, every file whole"
    ]
    hours = (SystemClock().now_ms() - newest) / _HOUR_MS
    if hours > oldest_hours:
        lines.append(f"the newest bar is {hours:,.0f} hours old: job=collect fetches what is new")
    behind = [symbol for symbol, end in ends.items() if end < newest]
    if behind:
        lines.append(f"{len(behind)} symbols end earlier, e.g. {behind[0]} at {iso_utc(ends[behind[0]])}")
    unpaid = [symbol for symbol, facts in manifest.symbols.items() if not facts.covered.get(FUNDING)]
    if unpaid:
        lines.append(f"{len(unpaid)} symbols have no funding rates, e.g. {unpaid[0]}")
    missing = {symbol: int(gaps["missing"]) for symbol, gaps in (manifest.gaps or {}).items() if gaps["missing"]}
    if missing:
        worst = max(missing, key=lambda symbol: missing[symbol])
        lines.append(
            f"{sum(missing.values()):,} bars are missing in {len(missing)} symbols, most in {worst} ({missing[worst]:,})"
        )
    return lines
