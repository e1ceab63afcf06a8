"""A command line that is one: compose its configuration, run one job or a sweep of them, and end with its exit code.

Errors that quantlab or Hydra raise on purpose become one sentence and exit code 2; set ``QUANTLAB_TRACEBACK=1`` to see
where they came from. ``docs/commands.md`` lists every exit code.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, NoReturn, TextIO, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.utils import get_method
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from quantlab.core.errors import ConfigError, QuantlabError
from quantlab.core.redaction import hide_named
from quantlab.jobs.config.composition import check_configuration
from quantlab.jobs.config.decided_options import refuse_decided_options
from quantlab.jobs.config.folder import config_folder
from quantlab.jobs.config.refusals import Refusal, not_composable, one_sentence
from quantlab.jobs.output.leftovers import no_empty_folders
from quantlab.jobs.output.run_folder import record_failure

#: Exit code of a sweep of which some combinations were refused; the others' runs are there.
SOME_REFUSED = 4
Job = Callable[[DictConfig], float | None]
Outcome = Literal["began", "succeeded", "refused"]


@dataclass(frozen=True)
class Attempts:
    """Tally of the jobs of one command, in files: a sweep may run its jobs in other processes.

    Parameters
    ----------
    folder : Path
        Its own, and there as long as the command runs.
    """

    folder: Path

    def note(self, outcome: Outcome) -> None:
        """Count one more."""
        tempfile.NamedTemporaryFile(dir=self.folder, prefix=f"{outcome}-", delete=False).close()

    def count(self, outcome: Outcome) -> int:
        """Return how many there were."""
        return len(list(self.folder.glob(f"{outcome}-*")))


def run_job(cfg: DictConfig, attempts: Attempts, refusals: list[Refusal]) -> float | None:
    """Run the composed job; a refusal is handed back, because Hydra would print it in its own way.

    In a sweep a refused combination is recorded beside the others' runs, and the sweep goes on; one that
    failed unexpectedly is recorded too, and Hydra raises its error when the sweep has ended.
    """
    exit_when_terminated()
    attempts.note("began")
    sweeps = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        refuse_decided_options(cfg, HydraConfig.get().overrides.task)
        check_configuration(cfg, HydraConfig.get().overrides.task)
        with nullcontext() if sweeps else no_empty_folders(cfg):
            objective = load_job(cfg)(cfg)
    except (QuantlabError, OmegaConfBaseException) as error:
        attempts.note("refused")
        if sweeps:
            record_combination(cfg, "refused", one_sentence(error))
        else:
            refusals.append(error)
        return None
    except Exception as error:
        if sweeps:
            record_combination(cfg, "failed", f"{type(error).__name__}: {error}")
        raise
    attempts.note("succeeded")
    return objective


def load_job(cfg: DictConfig) -> Job:
    """The function that ``job.entry`` names; this is where the job's libraries are loaded.

    Raises
    ------
    ConfigError
        If the name was typed, and is none.
    """
    try:
        job: Job = get_method(cfg.job.entry)
    except (ImportError, ValueError) as error:
        if any(word.lstrip("+").startswith("job.entry=") for word in HydraConfig.get().overrides.task):
            fix = "leave job.entry out, or name a function with its module"
            raise ConfigError("job.entry as the name of a function", found=repr(cfg.job.entry), fix=fix) from error
        raise
    return job


def record_combination(cfg: DictConfig, how: str, reason: str) -> None:
    """Keep why a combination of a sweep has no run, and say it."""
    try:
        where = f"recorded in {record_failure(cfg, reason)}"
    except OSError as error:
        where = f"not recorded ({error})"
    sys.stderr.write(f"quantlab: combination {how}, {where}: {hide_named(reason)}\n")


class HiddenSecrets:
    """A stream whose texts lose their secrets before another one writes them; Hydra prints the overrides of a job that failed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what may be shown of `text`."""
        self._stream.write(hide_named(text))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def print_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error that nobody caught, without secrets."""
    sys.stderr.write(hide_named("".join(traceback.format_exception(kind, error, trace))))


def exit_when_terminated() -> None:
    """Let a terminated process, also a launcher's own, clean up after itself as one that fails does."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def run_command_line() -> None:
    """Compose and run what ``sys.argv`` asks for.

    Raises
    ------
    SystemExit
        With the code of anything but a success.
    """
    exit_when_terminated()
    sys.excepthook = print_error
    # Hydra then re-raises what it refuses instead of printing it and exiting with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    with tempfile.TemporaryDirectory(prefix="quantlab-") as folder:
        command(Attempts(Path(folder)))


def command(attempts: Attempts) -> None:
    """Compose and run what the command line asks for, once or as a sweep."""
    refusals: list[Refusal] = []
    task = partial(run_job, attempts=attempts, refusals=refusals)
    try:
        with redirect_stderr(cast(TextIO, HiddenSecrets(sys.stderr))):
            hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="config")(task)()
    except (HydraException, OmegaConfBaseException) as error:
        refusals.append(error)
    except (ValueError, OSError) as error:
        if attempts.count("began"):  # a job's own error is a bug, and keeps its traceback
            raise
        refusals.append(not_composable(error, sys.argv[1:]))
    if refusals:
        refuse(refusals[0])
    refused, done = attempts.count("refused"), attempts.count("succeeded")
    if refused and not done:
        sys.stderr.write("quantlab: no combination of the sweep could be run\n")
        sys.exit(2)
    if refused:
        sys.stderr.write(f"quantlab: {refused} of {refused + done} combinations were refused\n")
        sys.exit(SOME_REFUSED)


def refuse(error: Refusal) -> NoReturn:
    """One sentence and exit code 2, or the traceback for those who ask for it."""
    if os.environ.get("QUANTLAB_TRACEBACK"):
        raise error
    sys.stderr.write(f"quantlab: {hide_named(one_sentence(error, sys.argv[1:]))}\n")
    sys.exit(2)
