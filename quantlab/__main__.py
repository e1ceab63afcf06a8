"""The command line: compose a configuration, run one job, return its objective.

``python -m quantlab experiment=ensemble_v2``. Errors that quantlab or Hydra raise on purpose become one
sentence and exit code 2; set ``QUANTLAB_TRACEBACK=1`` to see where they came from.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.utils import get_method
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from quantlab.core.errors import QuantlabError
from quantlab.jobs.composition import check_keys, config_folder, one_sentence
from quantlab.jobs.help import help_text
from quantlab.jobs.run_folder import record_failure

Refusal = QuantlabError | HydraException | OmegaConfBaseException
Job = Callable[[DictConfig], float | None]


def run_job(cfg: DictConfig, refusals: list[Refusal]) -> float | None:
    """Run the composed job; a refusal is handed back, because Hydra would print it in its own way.

    In a sweep a refused combination is recorded beside the others' runs, and the sweep goes on.
    """
    try:
        check_keys(cfg)
        job: Job = get_method(cfg.job.run)
        return job(cfg)
    except (QuantlabError, OmegaConfBaseException) as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            path = record_failure(cfg, one_sentence(error))
            sys.stderr.write(f"quantlab: combination refused, recorded in {path}: {one_sentence(error)}\n")
        else:
            refusals.append(error)
        return None


def main() -> None:
    """Entry point of ``python -m quantlab`` and of the ``quantlab`` script."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        sys.stdout.write(help_text())
        return
    # A terminated run cleans up after itself, as one that fails does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Hydra then re-raises what it refuses instead of printing it and exiting with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    refusals: list[Refusal] = []
    task = partial(run_job, refusals=refusals)
    try:
        hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="config")(task)()
    except (HydraException, OmegaConfBaseException) as error:
        refusals.append(error)
    except KeyboardInterrupt:
        sys.stderr.write("quantlab: stopped; nothing half written is left behind\n")
        sys.exit(130)
    if refusals:
        refuse(refusals[0])


def refuse(error: Refusal) -> NoReturn:
    """One sentence and exit code 2, or the traceback for those who ask for it."""
    if os.environ.get("QUANTLAB_TRACEBACK"):
        raise error
    sys.stderr.write(f"quantlab: {one_sentence(error)}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
