"""``job=readiness``: the stages that a strategy has passed, from what its session's journal records.

1-hour monitoring, 24-hour paper, gradual production: each gate finds PASS, FAIL or UNKNOWN with its evidence.
Nothing is computed from anything but the journal, which is verified first. With ``job.stage`` the exit code is 0
only if that stage, and every one before it, was passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quantlab.core.errors import ContractError
from quantlab.core.files import write_json
from quantlab.execution.readiness.stages import Readiness, StageResult
from quantlab.jobs.config.composition import build
from quantlab.jobs.output.console import stdout_console, terminal_table
from quantlab.jobs.session.session_folder import JOURNAL, existing_session

DOCUMENT = "readiness.json"
_COLOURS = {"PASS": "green", "FAIL": "red", "UNKNOWN": "yellow"}


def run(cfg: DictConfig) -> float | None:
    """Print and write every stage; the result is how many were passed.

    Raises
    ------
    ConfigError
        If there is no session, or no such stage.
    ArtifactError
        If its journal is damaged.
    ContractError
        If the stage that was asked for is not passed.
    """
    console, folder = stdout_console(), existing_session(cfg)
    gates: Readiness = build(cfg.execution.gates)
    if cfg.job.stage is not None:
        gates.require_stage(str(cfg.job.stage))
    stages = gates.assess(folder / JOURNAL)
    write_json(folder / DOCUMENT, gate_document(stages))
    print_stages(console, stages)
    console.print(f"readiness: {folder / DOCUMENT}", highlight=False, soft_wrap=True)
    if cfg.job.stage is not None:
        _require(stages, str(cfg.job.stage))
    return float(sum(stage.passed for stage in stages))


def gate_document(stages: Sequence[StageResult]) -> dict[str, Any]:
    """Return stages as strict JSON."""
    return {stage.name: stage.document() for stage in stages}


def print_stages(console: Console, stages: Sequence[StageResult]) -> None:
    """Print a table and a sentence for every stage."""
    for stage in stages:
        console.print(_table(stage))
        blocking = [result.gate for result in stage.results if result.blocks]
        outcome = "passed" if stage.passed else "held up by " + ", ".join(blocking or ["an earlier stage"])
        console.print(f"{stage.title}: {outcome}", highlight=False, soft_wrap=True)


def _table(stage: StageResult) -> Table:
    table = terminal_table(stage.title, "", "blocks", "evidence", whole=(stage.title, "", "blocks"))
    for result in stage.results:
        status = Text(result.status, style=_COLOURS[result.status])
        table.add_row(result.gate.replace("_", " "), status, "yes" if result.blocks else "", result.evidence)
    return table


def _require(stages: Sequence[StageResult], name: str) -> None:
    if not any(stage.name == name and stage.passed for stage in stages):
        raise ContractError(f"the stage {name!r} passed", found="it is held up", fix=f"look at {DOCUMENT}")
