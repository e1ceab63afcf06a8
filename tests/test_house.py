"""The structure itself: floors, who imports what, and what a run loads."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from vectorbt.portfolio.enums import order_dt

from quantlab.core import ports
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


def test_the_picture_of_the_rooms_is_drawn_from_the_contracts(repository: Path) -> None:
    path = repository / "tests" / "tools" / "write_rooms.py"
    spec = importlib.util.spec_from_file_location("write_rooms", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawn = module.picture()
    assert drawn == module.PICTURE.read_text(), "make docs"
    assert all(
        f">{room.name}</text>" in drawn
        for room in (repository / "quantlab").iterdir()
        if room.is_dir() and room.name != "__pycache__"
    )


def test_every_room_with_folders_has_a_contract_of_its_own(repository: Path) -> None:
    tool = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"]
    contained = {one["containers"][0]: one for one in tool["contracts"] if one["type"] == "layers"}
    rooms = {f"quantlab.{path.parent.name}" for path in (repository / "quantlab").glob("*/__init__.py")}
    assert set(contained) == {"quantlab", *rooms}
    assert all(one.get("exhaustive") for one in contained.values())


def test_no_two_folders_import_each_other(repository: Path) -> None:
    imports: dict[str, set[str]] = {}
    for path in modules(repository):
        folder = path.parent.relative_to(repository).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("quantlab."):
                imports.setdefault(folder, set()).add(folder_of(repository, node.module))
    mutual = [(a, b) for a, seen in imports.items() for b in seen if a < b and a in imports.get(b, set())]
    assert mutual == []


def folder_of(repository: Path, module: str) -> str:
    """The folder that a module's file lies in."""
    path = repository.joinpath(*module.split("."))
    return (path if path.is_dir() else path.parent).relative_to(repository).as_posix()


def test_no_folder_holds_more_than_25_modules(repository: Path) -> None:
    for folder in {path.parent for path in modules(repository)}:
        held = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(held) <= 25, folder


def test_protocols_live_in_core_ports_and_none_is_written_twice(repository: Path) -> None:
    found = [
        (node.name, path.relative_to(repository).as_posix())
        for path in modules(repository)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
    ]
    assert [where for where in found if not where[1].startswith("quantlab/core/ports/")] == []
    names = [name for name, _ in found]
    assert len(names) == len(set(names))
    # Beside protocols the face names the types of callbacks.
    assert set(names) <= set(ports.__all__)


_QUESTION = re.compile(r"(what|who|whose|which|how|where|when|why|whether|was|is|does|nobody|and)\b", re.IGNORECASE)


def test_no_docstring_opens_with_a_question_word(repository: Path) -> None:
    """A first line names the thing (a class, a module) or what it does (a function)."""
    found = [
        f"{path.relative_to(repository)}:{getattr(node, 'lineno', 1)}"
        for path in modules(repository)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and _QUESTION.match((ast.get_docstring(node) or "").strip())
    ]
    assert found == []


_MARKUP = re.compile(
    r"\[/?(?:bold|dim|italic|underline|reverse|red|green|yellow|blue|magenta|cyan|white|black|link)\b[^\]]*\]|\[/\]"
)


#: Modules that make a terminal's table: `terminal_table`, a table below the floor of jobs, one whose dates fold before its names.
TABLES = {"console.py", "page.py", "collect.py"}


def test_only_one_module_makes_consoles_and_no_text_is_markup(repository: Path) -> None:
    """Brackets in a path, a symbol or a reason would be swallowed, or end the job; a plain table cuts long names."""
    home = repository / "quantlab" / "jobs" / "output" / "console.py"
    found = []
    for path in modules(repository):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                    markup = {word.arg: ast.unparse(word.value) for word in node.keywords}.get("markup")
                    reads = name == "TextColumn" and markup != "False"
                    cuts = name == "Table" and path.name not in TABLES and "rich.table" in path.read_text()
                    wrong = reads or cuts or name == "from_markup" or (name == "Console" and path != home)
                case ast.ImportFrom(module="rich" | "rich.markup", names=names):
                    wrong = any(alias.name in {"print", "inspect", "escape", "render"} for alias in names)
                case ast.Constant(value=str(text)):
                    wrong = _MARKUP.search(text) is not None
                case _:
                    wrong = False
            if wrong:
                found.append(f"{path.relative_to(repository)}:{node.lineno}: {ast.unparse(node)[:60]}")
    assert found == []
