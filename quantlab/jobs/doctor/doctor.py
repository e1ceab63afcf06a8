"""``job=doctor``: is this machine fit to run what is configured?

Every check ends as OK, ``not set up`` (nothing asked for it) or broken with the command that fixes it.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf
from rich.table import Table
from rich.text import Text

from quantlab.core.clock import iso_utc
from quantlab.core.compiled import cache_root, compiled_cache
from quantlab.core.errors import InstallationError, QuantlabError
from quantlab.core.files import require_writable
from quantlab.core.ports import HasFileChecks
from quantlab.data.quality.coverage import coverage
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.folder import config_folder
from quantlab.jobs.config.sections import history_cut
from quantlab.jobs.doctor.check import Check, Status, shortened
from quantlab.jobs.doctor.collected import check_collected, collected_manifest
from quantlab.jobs.doctor.exchange import check_exchange_clock
from quantlab.jobs.doctor.models import check_models
from quantlab.jobs.doctor.secrets import check_secrets
from quantlab.jobs.output.console import stdout_console, terminal_table

_MIN_FREE_BYTES = 2 * 1024**3
_MAX_CLOCK_SKEW_S = 5.0


@dataclass(frozen=True)
class Requirement:
    """One pinned line of the lock."""

    name: str
    version: str


def run(cfg: DictConfig) -> None:
    """Print the table; raise if something configured is broken.

    Raises
    ------
    InstallationError
        Naming the broken checks; the command line turns it into exit code 2.
    """
    checks = list(examine(cfg))
    stdout_console().print(_table(checks))
    broken = [check for check in checks if check.status is Status.BROKEN]
    if broken:
        names = ", ".join(check.name for check in broken)
        raise InstallationError("every configured part to work", found=f"broken: {names}", fix=broken[0].fix)


def examine(cfg: DictConfig) -> Iterator[Check]:
    """All checks, one after the other."""
    yield check_python()
    yield check_versions(read_lock())
    yield check_parquet()
    yield check_writable("numba cache", cache_root(), f"machine code in {compiled_cache()}")
    yield check_writable("runs_dir", Path(cfg.runs_dir), "")
    yield check_writable("cache_dir", Path(cfg.cache_dir), "")
    yield check_disk(Path(cfg.runs_dir))
    yield check_clock()
    yield check_exchange_clock(cfg, _exchange(cfg))
    yield check_secrets([config_folder()], [config_folder().parent, Path.cwd()])
    yield check_models(cfg)
    yield check_collected(cfg)
    yield check_data(cfg)


def _exchange(cfg: DictConfig) -> str | None:
    """The one that is named, or the one that was collected from; a damaged dataset is another check's finding."""
    if cfg.job.exchange is not None:
        return str(cfg.job.exchange)
    try:
        manifest = collected_manifest(cfg)
    except QuantlabError:
        return None
    return None if manifest is None else manifest.exchange


def check_python() -> Check:
    """Python 3.11 or newer."""
    found = platform.python_version()
    fits = sys.version_info >= (3, 11)
    return Check(
        "python", Status.OK if fits else Status.BROKEN, found, "" if fits else "make PYTHON=python3.11 install"
    )


def read_lock() -> tuple[Requirement, ...]:
    """The pinned versions, from the wheel or the checkout; empty if there is no lock beside it."""
    folder = config_folder()
    path = next((p for p in (folder / "requirements.lock", folder.parent / "requirements.lock") if p.is_file()), None)
    if path is None:
        return ()
    lines = (line.split("#")[0].split(";")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(Requirement(*line.split("==", 1)) for line in lines if "==" in line)


def check_versions(lock: tuple[Requirement, ...]) -> Check:
    """Compare installed versions with the locked ones; development packages may be absent."""
    fix = "python -m pip install -r requirements.lock"
    if not lock:
        return Check("versions", Status.NOT_SET_UP, "no requirements.lock beside this installation", fix)
    found = {requirement: _installed(requirement.name) for requirement in lock}
    needed = _runtime_names()
    wrong = [
        f"{r.name} {version or 'is missing'} instead of {r.version}"
        for r, version in found.items()
        if (version != r.version and version) or (not version and _canonical(r.name) in needed)
    ]
    if wrong:
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        return Check("versions", Status.BROKEN, shown, fix)
    absent = sum(not version for version in found.values())
    note = f", {absent} optional ones not installed" if absent else ""
    return Check("versions", Status.OK, f"{len(lock) - absent} packages as locked{note}")


def _installed(name: str) -> str:
    try:
        # A local label such as +cpu names the build, not another release.
        return importlib.metadata.version(name).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""


def _runtime_names() -> set[str]:
    texts = importlib.metadata.requires("quantlab") or []
    names = (re.match(r"[A-Za-z0-9._-]+", text) for text in texts if "extra ==" not in text)
    return {_canonical(match.group()) for match in names if match}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def check_parquet() -> Check:
    """Bars written are bars read."""
    table = pa.table({"close": [1.0, 2.0]})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "check.parquet"
        pq.write_table(table, path, compression="zstd")
        same = pq.read_table(path).equals(table)
    status = Status.OK if same else Status.BROKEN
    return Check(
        "parquet engine",
        status,
        f"pyarrow {pa.__version__}",
        "" if same else "python -m pip install --force-reinstall pyarrow",
    )


def check_writable(name: str, folder: Path, detail: str) -> Check:
    """A file can be made in `folder` (its nearest existing parent, if it is not there yet)."""
    try:
        require_writable(name, folder)
    except InstallationError as error:
        return Check(name, Status.BROKEN, error.found, error.fix)
    return Check(name, Status.OK, detail or str(folder))


def _nearest(folder: Path) -> Path:
    folder = folder.resolve()
    return next(path for path in (folder, *folder.parents) if path.exists())


def check_disk(folder: Path) -> Check:
    """At least 2 GiB free where runs are written."""
    free = shutil.disk_usage(_nearest(folder)).free
    enough = free >= _MIN_FREE_BYTES
    fix = "" if enough else "free some space, or set runs_dir to another disk"
    return Check("disk", Status.OK if enough else Status.BROKEN, f"{free / 1024**3:.1f} GiB free", fix)


def check_clock() -> Check:
    """The clock agrees with the file system's."""
    with tempfile.NamedTemporaryFile() as file:
        skew = abs(time.time() - os.stat(file.name).st_mtime)
    fits = skew <= _MAX_CLOCK_SKEW_S
    fix = "" if fits else "set the system clock, e.g. timedatectl set-ntp true"
    return Check("clock", Status.OK if fits else Status.BROKEN, f"{skew:.3f} s from the file system's", fix)


def check_data(cfg: DictConfig) -> Check:
    """The configured history loads and passes the quality gate."""
    missing = OmegaConf.missing_keys(cfg.data)
    if missing:
        return Check("data", Status.NOT_SET_UP, f"no value for {min(missing)}", f"add {min(missing)}=VALUE")
    try:
        source = build(cfg.data)
        refused = source.problems() if isinstance(source, HasFileChecks) else ()
        if refused:
            found = shortened([f"{error.expected}; found {error.found}" for error in refused])
            return Check("data", Status.BROKEN, f"{len(refused)} refused: {found}", refused[0].fix)
        bars = history_cut(cfg).load(source)
    except QuantlabError as error:
        return Check("data", Status.BROKEN, f"{error.expected}; found {error.found}", error.fix)
    report = coverage(bars)
    first, last = iso_utc(report.first_ms), iso_utc(report.last_ms)
    lines = [f"{len(report.symbols)} symbols x {report.n_bars} bars, {first} to {last}", *report.findings()]
    return Check("data", Status.OK, shortened(lines))


def _table(checks: list[Check]) -> Table:
    table = terminal_table("check", "state", "found", "to fix", whole=("check", "state"), title="quantlab doctor")
    colour = {Status.OK: "green", Status.NOT_SET_UP: "yellow", Status.BROKEN: "red"}
    for check in checks:
        table.add_row(check.name, Text(check.status.value, style=colour[check.status]), check.detail, check.fix)
    return table
