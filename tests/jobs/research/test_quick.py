"""``make quick``: the smallest whole run, and the commands that it names at its end."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from quantlab.jobs.config.composition import compose

Command = Callable[..., subprocess.CompletedProcess[str]]


def commands(repository: Path) -> list[list[str]]:
    """Arguments of every ``-m quantlab`` in the target's recipe, the first of which runs and the rest of which are printed."""
    recipe = re.search(r"^quick:.*\n((?:\t.*\n)+)", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    lines = re.findall(r"-m quantlab ([^#\"\n]+)", recipe[1])
    return [shlex.split(line) for line in lines]


def test_the_run_and_every_command_that_it_names_can_be_composed(repository: Path) -> None:
    run, *named = commands(repository)
    assert run == ["experiment=quick"]
    assert ["--help"] in named
    for arguments in named:
        if arguments != ["--help"]:
            compose(*arguments)


def test_it_is_what_the_honesty_bench_measures_in_one_market() -> None:
    """So its verdict has the error rates that docs/honesty.md counts."""
    ours, theirs = (
        OmegaConf.to_container(compose(f"experiment={name}"), resolve=False) for name in ("quick", "honesty")
    )
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    assert {key for key in ours if ours[key] != theirs[key]} == {"experiment_name"}


@pytest.mark.slow
def test_it_ends_in_a_verdict_and_a_page(quantlab_cli: Command, tmp_path: Path) -> None:
    for overrides, verdict in (((), "edge"), (("data.edge=0",), "no evidence of an edge")):
        done = quantlab_cli("experiment=quick", *overrides)
        assert done.returncode == 0, done.stderr
        assert f"verdict: {verdict}. " in done.stdout
        page = Path(done.stdout.split("report: ")[1].split("\n")[0])
        assert page.is_relative_to(tmp_path / "runs" / "quick")
        assert json.loads((page.parent / "metrics.json").read_text())["verdict"] == verdict
        assert page.read_text(encoding="utf-8").startswith("<!")
