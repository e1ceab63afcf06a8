"""The structure itself: floors, who imports what, and what a run loads."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from vectorbt.portfolio.enums import order_dt

from quantlab.core.results import ORDER_DTYPE

#: Classes that only conf, notebooks and tests may name outside their own room.
CONCRETE = {
    "ParquetSource", "SyntheticSource", "FeaturePipeline", "XGBoost", "LightGBM", "TripleBarrier", "PurgedWalkForward",
    "WalkForward", "Ensemble", "EnsembleSignal", "EnsembleThreshold", "BuyAndHold", "FromSignals", "MovingAverageSignal",
    "RandomSignal", "FixedFraction", "ConfidenceFraction", "Scan",
}  # fmt: skip
RUN = """
import sys
sys.argv = ["quantlab", {arguments}]
from quantlab.__main__ import main
if __name__ == "__main__":
    main()
    print("LOADED", sorted({{"torch", "vectorbt", "plotly", "neuralforecast", "xgboost", "lightgbm"}} & set(sys.modules)))
"""


def modules(repository: Path) -> list[Path]:
    """Every module of the package."""
    return sorted((repository / "quantlab").rglob("*.py"))


def test_floors_hold(repository: Path) -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(linter)], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_import_stands_inside_a_function(repository: Path) -> None:
    found = [
        f"{path.relative_to(repository)}:{inner.lineno}"
        for path in modules(repository)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert found == []


def test_heavy_packages_have_an_empty_face(repository: Path) -> None:
    for room in ("learning", "learning/models", "backtest", "evaluation", "jobs"):
        assert (repository / "quantlab" / room / "__init__.py").read_text() == "", room


def test_no_room_imports_anothers_concrete_class(repository: Path) -> None:
    found = [
        f"{path.relative_to(repository)}: {alias.name}"
        for path in modules(repository)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("quantlab.")
        for alias in node.names
        if alias.name in CONCRETE and node.module.split(".")[1] != path.relative_to(repository).parts[1]
    ]
    assert found == []


def test_order_records_are_vectorbts() -> None:
    assert order_dt == ORDER_DTYPE


@pytest.mark.parametrize(
    ("experiment", "loaded"),
    [("baseline", []), ("ensemble_v2", ["lightgbm", "xgboost"])],
)
def test_a_backtest_loads_only_what_it_needs(tmp_path: Path, experiment: str, loaded: list[str]) -> None:
    """The first equity number needs neither vectorbt nor plotly, trees need no torch, and nothing to tune no optuna."""
    given = ["job=backtest", "debug=tiny", "workers=1", f"experiment={experiment}"]
    if loaded:
        given += ["learning.tuning=null", "~learning.members.nhits", "~learning.members.patchtst"]
    arguments = ", ".join(map(repr, given))
    script = tmp_path / "run.py"
    script.write_text(RUN.format(arguments=arguments))
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"LOADED {loaded}"
