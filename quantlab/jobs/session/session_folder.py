"""Folders of paper and live sessions: each bears the name of the strategy that its session trades."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from quantlab.core.errors import ConfigError, QuantlabError
from quantlab.execution.journal.reader import read_session
from quantlab.jobs.output.latest import resolve_run

SESSIONS, LIVE_SESSIONS, JOURNAL = "paper", "live", "journal.db"


def session_folder(cfg: DictConfig, sessions: str = SESSIONS) -> Path:
    """Return the folder of the session that a configuration is about.

    ``job.folder`` where it is set; else ``runs_dir/paper/NAME`` (or `sessions` in place of ``paper``) with the name of the bundle (``bundle=``), of the
    run's experiment (``run=``), or of the configured experiment.

    Raises
    ------
    ConfigError
        If both a bundle and a run are named.
    """
    if cfg.job.folder is not None:
        return Path(cfg.job.folder).resolve()
    return _sessions(cfg, sessions) / _session_name(cfg)


def existing_session(cfg: DictConfig) -> Path:
    """Return the folder of a session that has a journal.

    Raises
    ------
    ConfigError
        If there is none; it names the sessions that there are.
    """
    folder = session_folder(cfg)
    if (folder / JOURNAL).is_file():
        return folder
    others = sorted(path.parent.name for path in _sessions(cfg).glob(f"*/{JOURNAL}"))
    raise ConfigError(
        f"a session's journal, {folder / JOURNAL}",
        found=f"no file; the sessions in {_sessions(cfg)} are {', '.join(others)}"
        if others
        else "no file, and no session",
        fix="name the session as job=paper was told it (bundle=, run= or experiment=), or by its folder:"
        f" job.folder={_sessions(cfg) / others[0]}"
        if others
        else "begin one with job=paper",
    )


@contextmanager
def removed_if_refused(folder: Path) -> Iterator[None]:
    """Remove a session's folder that is made inside the block, if the block ends with a refusal before anything was journalled.

    A folder that was there before stays, and so does one whose journal holds a fact, e.g. that a bundle could not be loaded.
    """
    new = not folder.exists()
    try:
        yield
    except (QuantlabError, OmegaConfBaseException):
        if new and not _journalled(folder / JOURNAL):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _journalled(journal: Path) -> bool:
    return journal.is_file() and read_session(journal).entries > 0


def _sessions(cfg: DictConfig, sessions: str = SESSIONS) -> Path:
    return (Path(cfg.runs_dir) / sessions).resolve()


def _session_name(cfg: DictConfig) -> str:
    if cfg.bundle is not None and cfg.run is not None:
        raise ConfigError("a bundle or a run", found="both", fix="leave one of them out")
    if cfg.bundle is not None:
        return Path(cfg.bundle).resolve().name
    if cfg.run is not None:
        return resolve_run(cfg.run, cfg.runs_dir, announce=False).parent.name  # runs_dir/EXPERIMENT/ID
    return str(cfg.experiment_name)
