"""Every line of the table of bad inputs gets its answer: one sentence, its exit code, and nothing is left behind."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from bad_inputs import MORE_OPTIONS, OPTIONS, WORDS, BadInput

import quantlab
from quantlab.jobs.config.folder import config_folder, groups
from quantlab.jobs.config.hints import did_you_mean
from quantlab.jobs.config.job_page import job_lines, job_page
from quantlab.jobs.config.typed_words import answer_words

#: Libraries that take long to load.
HEAVY = ("numba", "pandas", "pyarrow", "scipy", "sklearn", "torch", "vectorbt", "xgboost", "lightgbm", "ccxt", "plotly")


class Ended(Protocol):
    """A finished command; see the fixture."""

    code: int
    errors: str
    output: str


#: Words of Hydra and Python that no user should have to know.
JARGON = ("Traceback", "struct", "full_key", "object_type", "Hydra", "omegaconf", "override", "_target_", "usage:")


@pytest.mark.parametrize("bad", WORDS, ids=lambda bad: bad.line)
def test_words_that_are_no_options_are_answered_with_the_line_to_type(bad: BadInput) -> None:
    answer = answer_words(shlex.split(bad.line))
    assert answer is not None
    assert answer.code == bad.code
    assert answer.text.startswith("quantlab: expected ")
    assert answer.text.count("\n") == 1
    for words in bad.words:
        assert words in answer.text or words == "[hidden]", answer.text
    assert not any(word in answer.text for word in JARGON), answer.text


@pytest.mark.parametrize(
    "line",
    [
        "",
        "seed=3 cash=500",
        "job=backtest +learning/models@learning.members.x=xgboost",
        "-m seed=1,2",
        "--multirun seed=1",
        "-m 'experiment=glob(*)'",
        "-m experiment=baseline,honesty hydra/launcher=joblib",
        "~debug",
        "--cfg job --resolve",
        "-c=job",
        "--info defaults",
        "--info job=backtest",
        "--hydra-help",
        "data.symbols=[BTC,ETH]",
        "cash=",
    ],
)
def test_lines_that_can_be_composed_are_left_alone(line: str) -> None:
    assert answer_words(shlex.split(line)) is None


@pytest.mark.parametrize("word", ["--version", "version", "-V"])
def test_the_version_is_quantlabs(word: str) -> None:
    answer = answer_words([word])
    assert answer is not None
    assert (answer.text, answer.code) == (f"quantlab {quantlab.__version__}\n", 0)


@pytest.mark.parametrize("line", ["--help", "-h", "help", "help seed=3"])
def test_help_is_the_page_of_all_jobs(line: str) -> None:
    answer = answer_words(line.split())
    assert answer is not None
    assert answer.code == 0
    for job, words in job_lines().items():
        assert f"\n  {job:<11}{words}\n" in answer.text
    assert len(job_lines()) == len(groups()["job"])


@pytest.mark.parametrize("job", groups()["job"])
def test_every_job_has_a_line_and_a_page(job: str) -> None:
    assert 10 <= len(job_lines()[job]) <= 90
    assert "(no description)" not in job_lines()[job]
    page = job_page(job)
    assert page.startswith(f"job={job}: {job_lines()[job]}\n\nExample\n  python -m quantlab ")
    assert f"job={job}" in page.splitlines()[3] or job == "research"
    assert "_target_" not in page
    assert "job.entry" not in page
    for line in ("help " + job, f"job={job} --help", f"{job} -h"):
        answer = answer_words(line.split())
        assert answer is not None
        assert (answer.text, answer.code) == (page, 0)


def test_a_page_shows_keys_with_defaults_and_comments_as_the_file_has_them(repository: Path) -> None:
    page = job_page("readiness")
    assert "job.stage=null" in page
    lines = (repository / "conf" / "job" / "readiness.yaml").read_text().splitlines()
    comment = next(line for line in lines if line.startswith("stage:")).split("#")[1].strip()
    assert next(line for line in page.splitlines() if "job.stage=" in line).endswith(comment)
    own = job_page("collect", {"job/source": "csv"})
    assert "job.source.columns.timestamp=timestamp" in own
    assert "job.source.folder= " in own
    assert "must be given" in own
    assert "job.source.retry.attempts=8" in job_page("collect")


def test_examples_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their words are options; what they name on disk is the reader's."""
    for path in sorted((config_folder() / "job").glob("*.yaml")):
        example = job_page(path.stem).splitlines()[3].strip()
        assert answer_words(shlex.split(example.removeprefix("python -m quantlab"))) is None, example


def test_the_nearest_word_is_asked_for_and_a_far_one_is_not() -> None:
    jobs = groups()["job"]
    assert did_you_mean("backtset", jobs) == "did you mean backtest?"
    assert did_you_mean("BACKTEST", jobs) == "did you mean backtest?"
    assert did_you_mean("ensmble_v2", groups()["experiment"]) == "did you mean ensemble_v2?"
    assert did_you_mean("zzz", jobs) == ""


@pytest.mark.parametrize(
    "bad", [*OPTIONS, *(pytest.param(bad, marks=pytest.mark.slow) for bad in MORE_OPTIONS)], ids=lambda bad: bad.line
)
def test_options_that_nothing_can_be_made_of_are_refused_in_a_sentence(
    bad: BadInput, run_line: Callable[[str], Ended], tmp_path: Path
) -> None:
    ended = run_line(bad.line)
    assert ended.code == bad.code, ended.errors
    assert ended.output == ""
    (sentence,) = ended.errors.splitlines()
    assert re.match(r"quantlab: expected .+; found .+[.?] [A-Z]?", sentence), sentence
    for words in bad.words:
        assert words.lower() in sentence.lower(), sentence
    assert not any(word in sentence for word in JARGON), sentence
    assert list(tmp_path.iterdir()) == []


def test_a_refused_value_loads_no_library() -> None:
    """Two refusals in a fresh process: of a value, and of a date."""
    code = (
        "import sys\n"
        "from quantlab.__main__ import main\n"
        "for word in ('cash=-1', 'history.start=xyz'):\n"
        "    sys.argv = ['quantlab', word]\n"
        "    try:\n        main()\n    except SystemExit as ended:\n        print(ended.code)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["2", "2", "[]"], done.stderr
