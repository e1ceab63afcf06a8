"""``job=tune``: the stages of tuning alone, and every trial of them.

What it finds is kept in ``cache_dir``: a research run with the same configuration goes on from there.
"""

from __future__ import annotations

from omegaconf import DictConfig

from quantlab.core.errors import ConfigError
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.output.run_folder import require_folders
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.research.pipeline import learn, setup
from quantlab.jobs.research.results import load_history
from quantlab.jobs.threshold_tuning.record import chosen_keys, format_value, trial_table


def run(cfg: DictConfig) -> float | None:
    """Search; the result is the last stage's best value, None if it has none.

    Raises
    ------
    ConfigError
        If no tuning is configured.
    QuantlabError
        If data, configuration or every trial is refused.
    """
    console, progress = stdout_console(), TerminalProgress()
    parts = setup(cfg)
    if cfg.learning.tuning is None:
        raise ConfigError(
            "a tuning to run", found="learning.tuning=null", fix="run e.g. experiment=ensemble_v2 job=tune"
        )
    require_folders(cfg, "cache_dir")
    study, _ = learn(parts, load_history(parts, progress), progress)
    for stage in study.tuning:
        console.print(trial_table(stage))
        shares = ", ".join(f"{name} {format_value(share)}" for name, share in stage.importance.items())
        console.print(f"importance: {shares or 'too few trials to tell'}", highlight=False)
    for key, value in chosen_keys(study.tuning):
        console.print(f"{key}={value}", highlight=False)
    best = study.tuning[-1].trials[study.tuning[-1].best] if study.tuning else None
    return None if best is None else best.value
