"""``job=new``: the guide's own text under another name, nothing overwritten, and commands that work as printed."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from quantlab.core.errors import ConfigError
from quantlab.jobs.config.composition import compose
from quantlab.jobs.new.new import run
from quantlab.jobs.new.template import KINDS

Command = Callable[..., subprocess.CompletedProcess[str]]
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: Name in the guide -> name in what is written for name=some_name.
RENAMED = {
    "strategy": {"my_strategy": "some_name", "dip": "some_name", "BuyTheDip": "SomeName"},
    "feature": {
        "my_features": "some_name", "mine": "some_name", "CLOSE_IN_RANGE_12": "SOME_NAME", "test_close_in_range": "test_some_name",
        "close_in_range_12": "some_name", "close_in_range": "some_name",
    },
    "signal": {"my_signal": "some_name", "money": "some_name", "FollowMoney": "SomeName", "FollowMoneyStream": "SomeNameStream"},
}  # fmt: skip


def new(folder: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> None:
    monkeypatch.chdir(folder)
    run(compose("job=new", *overrides))


def tokens(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_the_text_of_the_guide(
    kind: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new(tmp_path, monkeypatch, f"kind={kind}", "name=some_name")
    folder = tmp_path / "some_name"
    files = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    page: dict[str, str] = {}
    for _, name, content in BLOCK.findall((repository / "docs" / KINDS[kind].guide).read_text(encoding="utf-8")):
        if name and name.rsplit("/", 1)[-1] not in ("run.py", "own.py", "hours.py"):
            page[name] = page.get(name, "") + content
    assert files.pop("pytest.ini").startswith("[pytest]")
    assert len(files) == len(page) == 3
    assert {"some_name.py", "test_some_name.py"} < files.keys()

    def expected(text: str) -> list[str]:
        words = {**RENAMED[kind], **{f"test_{name}": "test_some_name" for name in RENAMED[kind]}}
        return [words.get(token, token) for token in tokens(text)]

    for name, text in page.items():
        ((path, found),) = [(p, t) for p, t in files.items() if tokens(p) == expected(name)]
        assert tokens(found) == expected(text), path
        if path.endswith(".py"):
            compile(found, path, "exec")
    shown = capsys.readouterr().out
    assert f"{sys.executable} -m pytest -q test_some_name.py" in shown
    assert [line for line in shown.splitlines() if " -m quantlab " in line and "some_name" not in line] == []
    old = [
        name
        for name in RENAMED[kind]
        if re.search(rf"\b{name}\b", "".join(files.values()) + shown.split("The guide")[0])
    ]
    assert old == []


@pytest.mark.parametrize("kind", KINDS)
def test_templates_pass_the_linter_of_this_house(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the order of imports, which depends on what lies beside the file, asserts, which tests have, and a property's self."""
    new(tmp_path, monkeypatch, f"kind={kind}", "name=some_name")
    config = Path(__file__).resolve().parents[3] / "pyproject.toml"
    command = ["-m", "ruff", "check", "--config", str(config), "--ignore", "I001,S101,ARG005", str(tmp_path)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_test_passes_inside_another_project_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n')
    new(tmp_path, monkeypatch, "kind=signal", "name=some_signal_here")
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "test_some_signal_here.py"]
    done = subprocess.run(command, cwd=tmp_path / "some_signal_here", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_nothing_is_overwritten_and_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_too").mkdir()
    (tmp_path / "mine_too" / "test_mine_too.py").write_text("precious")
    with pytest.raises(ConfigError, match=r"test_mine_too.py, which is there already"):
        new(tmp_path, monkeypatch, "kind=signal", "name=mine_too")
    assert [path.name for path in (tmp_path / "mine_too").iterdir()] == ["test_mine_too.py"]
    assert (tmp_path / "mine_too" / "test_mine_too.py").read_text() == "precious"
    new(tmp_path, monkeypatch, "kind=signal", "name=mine_too", "job.folder=other/place")
    assert (tmp_path / "other" / "place" / "mine_too.py").is_file()


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("null", "strategy", "lower-case letters"),
        ("Dip", "strategy", "lower-case letters"),
        ("1dip", "strategy", "lower-case letters"),
        ("a-b", "strategy", "lower-case letters"),
        ("../x", "strategy", "lower-case letters"),
        ("lambda", "strategy", "Python does not use"),
        ("match", "signal", "Python does not use"),
        ("range", "feature", "Python does not use"),
        ("numpy", "strategy", "hides no module"),
        ("json", "strategy", "hides no module"),
        ("quantlab", "strategy", "hides no module"),
        ("from_signals", "strategy", "no policy of quantlab's own"),
        ("moving_average", "signal", "no signal of quantlab's own"),
        ("rsi_14", "feature", "no feature of quantlab's own"),
        ("dip", "stratgy", "Did you mean strategy"),
        ("dip", "null", "kind=strategy, feature, signal"),
    ],
)
def test_names_and_kinds_that_are_none(
    name: str, kind: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        new(tmp_path, monkeypatch, f"name={name}", f"kind={kind}")
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_template_is_refused_beside_another_job() -> None:
    for key in ("name=x", "kind=strategy"):
        with pytest.raises(ConfigError, match="beside job=new"):
            compose("job=backtest", key)


def test_the_signal_of_the_guide_gives_the_same_bits_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test that is written beside it, and one that is broken on purpose."""
    new(tmp_path, monkeypatch, "kind=signal", "name=some_signal")
    folder = tmp_path / "some_signal"
    monkeypatch.syspath_prepend(str(folder))
    written = importlib.import_module("test_some_signal")
    written.test_history_and_stream_give_the_same_bits()
    module = sys.modules["some_signal"]
    monkeypatch.setattr(module.SomeSignalStream, "restore", lambda self, state: None)
    with pytest.raises(AssertionError):
        written.test_history_and_stream_give_the_same_bits()
    for name in ("some_signal", "test_some_signal"):
        sys.modules.pop(name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_line_works_as_it_is_printed(kind: str, quantlab_cli: Command, tmp_path: Path) -> None:
    done = quantlab_cli("job=new", f"kind={kind}", "name=some_name")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("Type next:")[1].split("The guide")[0].strip().splitlines()
    assert lines[0].strip() == "cd some_name"
    assert len(lines) >= 3
    script = "set -e\n" + "\n".join(line.strip() for line in lines)
    ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
    if kind == "signal":
        assert "audit: no leak found" in ran.stdout
        assert "PASS: " in ran.stdout
