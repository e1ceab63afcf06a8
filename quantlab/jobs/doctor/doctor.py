"""``job=doctor``: is this machine fit to run what is configured?

Every check is printed as it ends: OK, ``look at it`` (it works, and something about it should be known), ``not set up``
(nothing asked for it), ``not checked`` (it could not be looked at), or broken with the command that fixes it.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig
from rich.text import Text

from quantlab.core.compiled import cache_root, compiled_cache
from quantlab.core.errors import InstallationError, QuantlabError
from quantlab.core.files import require_writable
from quantlab.jobs.config.folder import config_folder
from quantlab.jobs.doctor.check import Check, Status
from quantlab.jobs.doctor.collected import check_collected, collected_manifest
from quantlab.jobs.doctor.data import check_data
from quantlab.jobs.doctor.exchange import check_exchange_clock
from quantlab.jobs.doctor.models import check_models
from quantlab.jobs.doctor.secrets import check_secrets
from quantlab.jobs.output.compilation import watch_compilation
from quantlab.jobs.output.console import stderr_console, stdout_console

_MIN_FREE_BYTES = 2 * 1024**3
_MAX_CLOCK_SKEW_S = 5.0


@dataclass(frozen=True)
class Requirement:
    """One pinned line of the lock."""

    name: str
    version: str


def run(cfg: DictConfig) -> None:
    """Print every check as it ends; raise if something configured is broken.

    Raises
    ------
    InstallationError
        Naming the broken checks; the command line turns it into exit code 2.
    """
    console, broken = stdout_console(), []
    with console.status("quantlab doctor") as status, _announced_compilation():
        for check in examine(cfg, lambda name: status.update(Text(name))):
            console.print(check.lines())
            if check.status is Status.BROKEN:
                broken.append(check)
    if broken:
        names = ", ".join(check.name for check in broken)
        raise InstallationError("every configured part to work", found=f"broken: {names}", fix=broken[0].fix)


@contextmanager
def _announced_compilation() -> Iterator[None]:
    """Say, once, that the data's check takes longer because it compiles."""
    said, console = set[str](), stderr_console()

    def announce(sentence: str) -> None:
        if sentence and not said:
            said.add(sentence)
            console.print(sentence, soft_wrap=True)

    with watch_compilation(announce):
        yield


def examine(cfg: DictConfig, begin: Callable[[str], None] = lambda _: None) -> Iterator[Check]:
    """All checks, one after the other.

    Parameters
    ----------
    cfg : DictConfig
    begin : callable, optional
        Takes the name of a check before it is made.
    """
    for name, check in _CHECKS.items():
        begin(name)
        yield check(cfg)


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


#: By name, in the order in which they are made: first the machine, then what is stored on it, then the data.
_CHECKS: dict[str, Callable[[DictConfig], Check]] = {
    "python": lambda _: check_python(),
    "versions": lambda _: check_versions(read_lock()),
    "parquet engine": lambda _: check_parquet(),
    "numba cache": lambda _: check_writable("numba cache", cache_root(), f"machine code in {compiled_cache()}"),
    "runs_dir": lambda cfg: check_writable("runs_dir", Path(cfg.runs_dir), ""),
    "cache_dir": lambda cfg: check_writable("cache_dir", Path(cfg.cache_dir), ""),
    "disk": lambda cfg: check_disk(Path(cfg.runs_dir)),
    "clock": lambda _: check_clock(),
    "exchange clock": lambda cfg: check_exchange_clock(cfg, _exchange(cfg)),
    "secrets": lambda _: check_secrets([config_folder()], [config_folder().parent, Path.cwd()]),
    "model registry": check_models,
    "collected data": check_collected,
    "data": check_data,
}
