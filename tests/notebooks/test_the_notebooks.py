"""The notebooks are kept clean, run from a clean kernel, and what their prose says of the results is so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NAMES = ("from_bars_to_verdict", "a_sweep_read_honestly")
#: Of one cell, in seconds; a hang must not stop the tests for ever.
TIMEOUT = 600

#: What the prose relies on, asked in the notebook's own kernel.
CLAIMS = {
    "from_bars_to_verdict": """{
        "verdict": result.verdict.verdict,
        "every member knows something": bool((scores["errors_above_chance"] > 2).all()),
        "no member is beyond the oracle": not result.judgement.suspicions,
        "costs are above what trades bear": bool(
            result.numbers["evidence"]["cost_bps"] > result.numbers["evidence"]["break_even_cost_bps"]
        ),
        "the breaker stopped the lived account": result.run.lived.halted_at_ms is not None,
        "and it kept more": bool(result.equity["lived"].iloc[-1] > result.equity["evidence"].iloc[-1]),
        "confidence is narrow": bool(result.run.study.report.reliability[-1][0] < 0.5),
        "warm-up": int(features.ready.argmax(axis=0).min()) == 1535,
        "care pays": bool(careful.equity["evidence"].iloc[-1] > careful.equity["evidence"].iloc[0] * 1.02),
        "far fewer trades": bool(5 * len(careful.trades) < len(result.trades)),
    }""",
    "a_sweep_read_honestly": """{
        "verdict": swept.verdict.verdict,
        "alone": alone.verdict,
        "one coin with other exits": len(set(swept.table["signal.seed"][:4])) == 1,
        "tried": swept.verdict.numbers["trials"] == 400,
        "stays below luck": bool(swept.best.luck_sharpe > swept.verdict.numbers["sharpe"]),
        "dsr is far from enough": swept.verdict.numbers["dsr"] < 0.5,
        "pbo would have let it pass": swept.verdict.numbers["pbo"] < 0.5,
        "ranks mean nothing": bool(abs(swept.table[["sharpe", "sharpe_unseen"]].corr("spearman").iloc[0, 1]) < 0.1),
        "it lost afterwards": bool(swept.numbers["unseen"]["total_return"] < 0.0),
    }""",
}
VERDICT = "no evidence of an edge"


def read(repository: Path, name: str) -> Any:
    return nbformat.read(repository / "notebooks" / f"{name}.ipynb", as_version=4)


def test_every_notebook_is_tested(repository: Path) -> None:
    assert {path.stem for path in (repository / "notebooks").glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_kept_without_outputs(repository: Path, name: str) -> None:
    notebook = read(repository, name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_they_are_in_the_projects_style(repository: Path) -> None:
    ruff = str(Path(sys.executable).with_name("ruff"))
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [ruff, *command, "notebooks"], cwd=repository, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_from_a_clean_kernel(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = read(repository, name)
    notebook.cells.append(nbformat.v4.new_code_cell(f"import json\nprint(json.dumps({CLAIMS[name]}))"))
    client = NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    *shown, last = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    claims = json.loads(last.text)
    assert claims.pop("verdict") == VERDICT
    assert claims.pop("alone", "edge") == "edge"
    assert all(claims.values()), claims
    check_outputs(shown)


def check_outputs(shown: list[Any]) -> None:
    """No warning and no print; finished stages as one line of text each; figures that a front end can draw."""
    assert [output.text for output in shown if output.output_type == "stream"] == []
    figures = [output.data for output in shown if "application/vnd.plotly.v1+json" in output.data]
    assert len(figures) >= 4
    texts = [output.data.get("text/plain", "") for output in shown if output.output_type == "display_data"]
    stages = [text for text in texts if text]
    assert len(stages) >= 5
    assert all(text.startswith("done ") and text.endswith(" s") and "\n" not in text for text in stages), stages
