"""Every command line of the pages is in the table, can be composed, and what needs no run ends as the page says."""

from __future__ import annotations

import copy
import functools
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from command_endings import ENDINGS, OF_MAKE, ON_THE_PAGE, ending_of
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError
from page_commands import PageCommand, commands_of, fragments_of, pages

from quantlab.core.errors import ConfigError
from quantlab.jobs.config.composition import compose
from quantlab.jobs.config.folder import config_folder
from quantlab.jobs.config.refusals import one_sentence
from quantlab.jobs.promotion import promote
from quantlab.jobs.research import backtest
from quantlab.jobs.session import paper, readiness, status
from quantlab.jobs.sweep import sweep

REPOSITORY = Path(__file__).resolve().parents[2]
COMMANDS = [command for path in pages(REPOSITORY) for command in commands_of(path, REPOSITORY)]
#: Groups that a page makes itself, in files of the reader.
OWN_FILES = ("features=mine", "trading/policy=dip", "trading/signal=money")


def test_no_command_line_of_a_page_is_without_an_ending() -> None:
    """A new command in a page belongs into command_endings.py: how it ends, or why it is not run."""
    missing = [f"{one.page}:{one.line} {one.text}" for one in COMMANDS if ending_of(one.page, one.text) is None]
    assert missing == []
    assert len(COMMANDS) > 100


def test_every_ending_is_of_a_command_that_a_page_still_prints() -> None:
    printed, placed = {one.text for one in COMMANDS}, {(one.page, one.text) for one in COMMANDS}
    assert [text for text in ENDINGS if text not in printed] == []
    assert [place for place in ON_THE_PAGE if place not in placed] == []


def test_commands_are_found_in_blocks_and_in_backticks(tmp_path: Path) -> None:
    """What is looked for: continued lines, arrays, prompts with what was printed, and code in a sentence."""
    page = tmp_path / "page.md"
    page.write_text(
        'Say `python -m quantlab\njob=doctor` and `make` or\n\n```\nA=(x=1\n  y=2)\n.venv/bin/python -m quantlab "${A[@]}" \\\n'
        "    z='a b'   # words\nnot a command\n$ make run\nout\nput\n```\n"
    )
    assert commands_of(page, tmp_path) == [
        PageCommand("page.md", 1, "python -m quantlab job=doctor"),
        PageCommand("page.md", 7, "python -m quantlab x=1 y=2 z='a b'"),
        PageCommand("page.md", 10, "make run", "out put"),
    ]


def one_job(overrides: list[str]) -> list[str]:
    """Overrides as one job gets them: of a multirun the first value of each; names for placeholders."""
    words = [re.sub(r"<(\w+)>", r"\1", word) for word in overrides]
    if words[:1] == ["-m"]:
        words = [re.sub(r"=(\w+)(,\w+)+$", r"=\1", word) for word in words[1:]]
    return [word for word in words if word not in OWN_FILES and not word.startswith("hydra")]


@functools.cache
def whole_configuration() -> DictConfig:
    """The configuration with everything that an experiment can bring."""
    return compose("experiment=ensemble_v2")


def file_of(group: str, option: object) -> DictConfig | None:
    """The yaml of a group's option, without the files that it builds on; None where there is none."""
    path = config_folder() / group / f"{option}.yaml"
    if not path.is_file():
        return None
    node = OmegaConf.load(path)
    base = DictConfig({})
    for entry in node.pop("defaults", []):
        if entry != "_self_" and isinstance(entry, str):
            base = OmegaConf.merge(base, file_of(group, entry) or {})
    merged = OmegaConf.merge(base, node)
    assert isinstance(merged, DictConfig)
    return merged


def require_known(words: list[str]) -> None:
    """Files that are chosen exist, and keys that are set are there; composing all of it for every line takes too long here."""
    cfg = copy.deepcopy(whole_configuration())
    OmegaConf.set_struct(cfg, False)
    values = []
    for one in OverridesParser.create().parse_overrides(words):
        group = str(one.key_or_group)
        if not (config_folder() / group).is_dir():
            values.append(one)
        elif (found := file_of(group, one.value())) is None:
            raise ConfigError(f"{group}={one.value()} in conf/", found="no file", fix="correct the page")
        elif group != "experiment":
            OmegaConf.update(cfg, one.package or group.replace("/", "."), found, merge=False)
    if "job" in cfg and (source := OmegaConf.select(cfg, "job.entry")) and str(source).endswith("collect.run"):
        chosen = next((word.partition("=")[2] for word in words if word.startswith("job/source=")), "exchange")
        OmegaConf.update(cfg, "job.source", file_of("job/source", chosen), merge=True)
    OmegaConf.set_struct(cfg, True)
    for one in values:
        OmegaConf.update(cfg, str(one.key_or_group), one.value())  # refuses a key that is not there


def test_every_command_chooses_files_and_sets_keys_that_exist() -> None:
    texts = {one.text: one for one in COMMANDS if one.overrides is not None and "--help" not in one.words}
    inline = {fragment for path in pages(REPOSITORY) for fragment in fragments_of(path)}
    jobs = {path.stem for path in (config_folder() / "job").glob("*.yaml")}
    assert {name for fragment in inline for name in re.findall(r"\bjob=(\w+)", fragment)} <= jobs
    asked = [one.overrides or [] for one in texts.values() if not one.output]
    asked += [fragment.split() for fragment in sorted(inline) if " " in fragment]
    for overrides in asked:
        require_known(one_job(overrides))


def test_a_key_that_is_none_would_be_found() -> None:
    with pytest.raises(ConfigAttributeError):
        require_known(["job=collect", "job.repiar=true"])


def test_a_refusal_is_printed_on_the_page_as_it_is_said() -> None:
    shown = [one for one in COMMANDS if one.output]
    assert shown
    for command in shown:
        with pytest.raises(ConfigError) as refused:
            compose(*(command.overrides or []))
        assert f"quantlab: {one_sentence(refused.value)}" == command.output


@pytest.mark.parametrize("target", sorted({one.text for one in COMMANDS if one.words[0] == "make"}))
def test_what_make_runs_is_run_or_excused_too(target: str) -> None:
    """``make -n`` prints what it would do; the framework's own commands among it have an ending of their own."""
    done = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", *shlex.split(target)[1:]],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for command in re.findall(r"python -m quantlab[^\"#\n]*", done.stdout):
        assert command.strip() in OF_MAKE, command


def test_the_readme_from_a_run_to_a_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of "From a run to a session" and the sweep, as typed, on a small market and in this process."""
    at = (f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/.cache", f"registry_root={tmp_path}/models")
    small = (*at, "data.days=8", "data.n_symbols=2", "data.late_listings=0")
    typed = {name: next(one.overrides for one in COMMANDS if one.page == "README.md" and f"job={name}" in one.words)
             for name in ("sweep", "promote", "paper", "status")}  # fmt: skip
    sweep.run(compose(*(typed["sweep"] or []), *small))
    assert re.search("verdict on the best: ", " ".join(capsys.readouterr().out.split()))
    backtest.run(compose("experiment=baseline", "job=backtest", *small))
    run = max((tmp_path / "runs" / "baseline").iterdir())
    promoted = [re.sub(r"run=.*", f"run={run}", word) for word in typed["promote"] or []]
    promote.run(compose(*promoted, *at))
    name = next((tmp_path / "models" / "bundles").glob("*/manifest.json")).parent.name
    for job, kind in {"paper": paper, "status": status}.items():
        words = [word.replace("models/bundles/NAME", f"{tmp_path}/models/bundles/{name}") for word in typed[job] or []]
        kind.run(compose(*words, *small, *(("job.bars=20",) if job == "paper" else ())))
        printed = capsys.readouterr().out
        assert ("replay from 2025-01-06T08:00:00Z" in printed) == (job == "paper")
        assert "equity, USD" in printed
    assert (tmp_path / "runs" / "paper" / name / "journal.db").is_file()
    with pytest.raises(ConfigError, match=f"the sessions in .* are {name}"):
        readiness.run(compose("job=readiness", *at))
