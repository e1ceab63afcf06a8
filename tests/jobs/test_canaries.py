"""Canaries: secrets that are planted where users keep them, and looked for in everything that jobs write."""

from __future__ import annotations

import json
import logging
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from quantlab.core.errors import ConfigError
from quantlab.core.logs import json_log
from quantlab.jobs.config.composition import compose
from quantlab.jobs.data import data
from quantlab.jobs.output.run_folder import record_failure
from quantlab.jobs.promotion import promote
from quantlab.jobs.research import backtest
from quantlab.jobs.session import paper, status
from quantlab.jobs.sweep import sweep

#: From the environment under a secret's name; typed; and from the environment under a name that says nothing.
ENVIRONMENT, TYPED, NAMELESS = "canary-bird-one", "canary-bird-two", "canary-bird-three"
Command = Callable[..., subprocess.CompletedProcess[str]]
SMALL = (
    "experiment=baseline", "debug=tiny", "data.days=8", "data.n_symbols=2", "data.late_listings=0",
    "evaluation/stress@stress=none", "execution.feed.start=2025-01-07T00:00:00",
)  # fmt: skip
SECRETS = (
    "execution.alerts._target_=canary_alerts.SilentAlerts",
    "++execution.alerts.settings.secret=${oc.env:CANARY}", f"++execution.alerts.settings.password={TYPED}",
    "++execution.alerts.settings.label=${oc.env:EXCHANGE_KEY_OF_MINE}", "++execution.alerts.settings.again=${execution.alerts.settings.label}",
    "++execution.alerts.settings.tokens=[canary-bird-list]", "++execution.alerts.settings.credentials={user: canary-bird-user, list: [canary-bird-deep]}",
    "++execution.alerts.settings.api_keys={binance: canary-bird-mapping}", "++execution.alerts.settings.db_pass=canary-bird-pass",
    "++execution.alerts.settings.fallback=${oc.env:NOT_SET,canary-bird-default}", "++execution.alerts.settings.url='https://u:canary-bird-login@h/'",
    "++execution.alerts.settings.note='my password=canary-bird-note'", "++execution.alerts.settings.header={Authorization: 'Bearer canary-bird-header'}",
)  # fmt: skip
#: Part of what is tested, and no secret.
SPAN = "trading.signal.fast='${oc.decode:${oc.env:SPAN}}'"
CANARIES = re.compile(r"canary-bird-\w+")


def at(folder: Path) -> tuple[str, ...]:
    return (f"runs_dir={folder / 'runs'}", f"cache_dir={folder / '.cache'}", f"registry_root={folder / 'models'}")


def secret_files(folder: Path) -> list[str]:
    """Files below `folder` that hold a canary, in whatever format."""
    canaries = re.compile(CANARIES.pattern.encode())
    return [str(path) for path in folder.rglob("*") if path.is_file() and canaries.search(path.read_bytes())]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))  # canary_alerts
    monkeypatch.setenv("CANARY", ENVIRONMENT)
    monkeypatch.setenv("EXCHANGE_KEY_OF_MINE", NAMELESS)
    monkeypatch.setenv("SPAN", "37")


def test_no_output_of_a_job_holds_a_secret(
    planted: None, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def composed(job: str, *given: str) -> DictConfig:
        return compose(f"job={job}", *SMALL, *SECRETS, *at(tmp_path), *given)

    backtest.run(composed("backtest", SPAN))
    (run,) = (tmp_path / "runs").glob("*/*")
    promote.run(composed("promote", f"run={run}", "job.name=good", "job.activate=true"))
    bundles = tmp_path / "models" / "bundles"
    paper.run(composed("paper", f"bundle={bundles}", f"job.folder={tmp_path / 'session'}", "job.bars=20"))
    status.run(composed("status", f"job.folder={tmp_path / 'session'}"))
    data.run(composed("data"))
    sweep.run(composed("sweep", "sweep.space={policy.rebalance:[true,false]}"))
    record_failure(composed("backtest"), f"a message with {TYPED}")
    with json_log(tmp_path / "log.jsonl"):
        logging.getLogger("quantlab").warning("rejected: %s and %s and %s", ENVIRONMENT, TYPED, NAMELESS)
    assert len(list(tmp_path.rglob("*"))) > 40
    assert secret_files(tmp_path) == []
    printed = "".join(capfd.readouterr())
    assert not CANARIES.search(printed)

    config = (run / "config.yaml").read_text()
    assert "secret: ${oc.env:CANARY}" in config, "what was referred to is still there to be run again"
    assert config.count("${oc.env:EXCHANGE_KEY_OF_MINE}") == 2
    assert "password: '[hidden]'" in config
    assert config.count("'[hidden]'") >= 8
    assert "fast: 37" in config, "what was tested is a plain value, wherever it came from"
    assert json.loads((bundles / "good" / "config.json").read_text())["signal"]["fast"] == 37
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("runs/*/*/config.yaml")} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("runs/*/*.failed.json")} == {0o600}


def test_a_refusal_does_not_repeat_a_secret(planted: None, quantlab_cli: Command, tmp_path: Path) -> None:
    done = quantlab_cli("job=backtest", *SECRETS, f"workers={TYPED}")
    assert done.returncode == 2
    assert "workers" in done.stderr
    assert "[hidden]" in done.stderr
    assert TYPED not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("++trading.policy.api_key=${oc.env:CANARY}", "trading.policy.api_key"),
        (f"++trading.policy.api_key={TYPED}", "trading.policy.api_key"),
        ("++trading.policy.api_key=${execution.alerts.settings.secret}", "trading.policy.api_key"),
        ("++trading.policy.label=${execution.alerts.settings.password}", "trading.policy.label"),
        ("++trading.policy.label=${oc.env:EXCHANGE_KEY_OF_MINE}", "trading.policy.label"),
        ("++trading.signal.tokens=[canary-bird-list]", "trading.signal.tokens.0"),
        ("++features.credentials={user: canary-bird-user}", "features.credentials.user"),
        ("++learning.members.mine.source='https://u:canary-bird-login@h/'", "learning.members.mine.source"),
        ("++strategy.note='password=canary-bird-note'", "strategy.note"),
    ],
)
def test_a_secret_in_what_is_carried_around_is_refused(planted: None, option: str, named: str) -> None:
    with pytest.raises(ConfigError, match="carried around") as refusal:
        compose("job=backtest", *SMALL, *SECRETS, option)
    assert f"found one in {named}." in str(refusal.value)
    assert not CANARIES.search(str(refusal.value))


def test_an_override_that_cannot_be_read_is_told_without_its_secret(
    quantlab_cli: Command,
) -> None:
    done = quantlab_cli("job=backtest", f"++execution.alerts.settings.password=corr\u00e9ct {TYPED}")
    assert done.returncode == 2
    assert "execution.alerts.settings.password=[hidden]" in done.stderr
    assert TYPED not in done.stderr + done.stdout


def test_errors_and_sweeps_of_the_command_line_do_not_repeat_a_secret(
    planted: None, quantlab_cli: Command, tmp_path: Path
) -> None:
    crash = quantlab_cli("job=backtest", *SECRETS, "job.entry=json.loads", QUANTLAB_TRACEBACK="1")
    assert crash.returncode == 1
    assert "Error executing job with overrides" in crash.stderr
    assert "Traceback" in crash.stderr
    refused = quantlab_cli("-m", "job=backtest", *SMALL, *SECRETS, f"seed=-1,{TYPED}")
    assert refused.returncode == 2
    assert len(list(tmp_path.glob("runs/*/*.failed.json"))) == 2
    assert not list(tmp_path.rglob("multirun.yaml"))
    assert not CANARIES.search("".join((crash.stdout, crash.stderr, refused.stdout, refused.stderr)))
    assert secret_files(tmp_path) == []


def test_the_canaries_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" + TYPED.encode())
    assert secret_files(tmp_path) == [str(tmp_path / "a")]
