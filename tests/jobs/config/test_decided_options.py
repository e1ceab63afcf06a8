"""An option that a bundle has decided is refused beside it, by name, before anything is loaded."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from quantlab import jobs
from quantlab.core.errors import ConfigError
from quantlab.jobs.config.composition import compose
from quantlab.jobs.config.decided_options import refuse_decided_options
from quantlab.jobs.config.folder import config_folder
from quantlab.jobs.promotion import bundle_writer

JOBS = ("live", "paper", "parity", "promote")
#: Jobs that find a session by the bundle or run it was started with, and decide nothing.
READERS = ("readiness", "status")
#: What a bundle holds and a job yet takes from the configuration, each for a reason of its own.
OPEN = {
    "live": {
        "experiment_name": "names the session's folder",
        "cash": "of the account that begins",
        "drift": "thresholds of what is told",
        "trading.instrument": "of the data, whose fees are held against the bundle's",
    },
    "paper": {
        "experiment_name": "names the session's folder",
        "cash": "of the account that begins",
        "drift": "thresholds of what is told",
        "trading.instrument": "of the data, whose fees are held against the bundle's",
    },
    "parity": {
        "experiment_name": "names the folder of parity.json",
        "drift": "nothing is watched",
        "trading.instrument": "of the data, whose fingerprint is held against the bundle's",
    },
    "promote": {"experiment_name": "the bundle's own folder is named by job.name"},
}


@pytest.fixture(scope="module")
def composed() -> dict[str, DictConfig]:
    """Each job beside a bundle that nobody has looked for yet."""
    return {job: compose(f"job={job}", "experiment=ensemble_v2", "bundle=models/bundles/x") for job in JOBS}


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize(
    "option",
    [
        "trading.limits.breaker=off",
        "trading/limits=default",
        "trading/policy=from_signals",
        "trading.costs.slippage_bps=0",
        "+trading.costs.mine=0",
        "++strategy.limits.max_weight=0.5",
        "strategy.sizer=null",
        "signal=${learning.study}",
        "learning.net_steps=3",
        "learning={net_steps:3}",
        "trading={limits:{breaker:null}}",
        "+learning/models@learning.members.linear=linear",
        "+learning.members.mine={}",
        "learning.ensemble.quorum=1",
        "~learning.members.nhits",
        "~trading",
        "trading={instrument:{tick:0.5},limits:{breaker:null}}",
        "trading={limits:{}}",
        "features.threads=2",
        "features=unified49",
        "exits.horizon=7",
        "barriers.stop_atr=1.0",
        "seed=3",
        "job.decided_by_bundle=[]",
        "job={decided_by_bundle:[]}",
    ],
)
def test_what_the_bundle_decides_is_refused_by_name(composed: dict[str, DictConfig], job: str, option: str) -> None:
    with pytest.raises(ConfigError) as refused:
        refuse_decided_options(composed[job], [f"job={job}", option, "data.days=7"])
    assert f"beside bundle= no option that it decides itself; found {option}." in str(refused.value)
    assert "run the research with it and promote that run" in str(refused.value).lower()


def test_all_of_them_are_named_at_once_and_nothing_else_is() -> None:
    given = ("cash=5", "learning.net_steps=3", "data.days=7", "trading.limits.rollout=0.5", "job.bars=9")
    with pytest.raises(ConfigError, match=r"found learning\.net_steps=3, trading\.limits\.rollout=0\.5\. "):
        compose("job=paper", "bundle=x", *given)
    with pytest.raises(ConfigError, match=r"found cash=5, learning\.net_steps=3, trading\.limits\.rollout=0\.5\. "):
        compose("job=parity", "bundle=x", *given)


def test_a_run_that_is_made_a_bundle_first_decides_as_much(composed: dict[str, DictConfig]) -> None:
    for job in ("paper", "promote"):
        cfg = composed[job].copy()
        cfg.bundle, cfg.run = None, "runs/baseline/x"
        with pytest.raises(ConfigError, match=r"beside run= no option that it decides itself; found exits\.horizon=7"):
            refuse_decided_options(cfg, ["exits.horizon=7"])
    for option in ("drift.psi_alert=0.5", "trading.instrument.tick=0.5", "cash=9"):
        with pytest.raises(ConfigError, match="beside run="):
            refuse_decided_options(cfg, [option])


@pytest.mark.parametrize(
    "option",
    [
        *("experiment=ensemble_v2", "debug=tiny", "bundle=x", "job=paper", "experiment_name=mine"),
        *("data=parquet", "data.root=DIR", "history.bars=900", "data={days:7}"),
        *("trading.instrument.min_notional=5", "trading/instrument=default"),
        *("drift.psi_alert=0.5", "features/drift@drift=default"),
        *("execution.feed.start=2025-06-01", "execution/feed=live", "cash=5", "job.bars=9", "job={bars:9}"),
        *("registry_root=m", "learning.registry.load_timeout_s=9", "learning/registry=default", "runs_dir=r"),
        *("trading={instrument:{tick:0.5}}", "learning={registry:{load_timeout_s:9}}", "workers=1"),
    ],
)
def test_what_it_leaves_open_may_be_typed(composed: dict[str, DictConfig], option: str) -> None:
    refuse_decided_options(composed["paper"], [option])


@pytest.mark.parametrize("given", ["bundle=models/bundles/x", "run=runs/baseline/x"])
@pytest.mark.parametrize("job", sorted(path.stem for path in (config_folder() / "job").glob("*.yaml")))
def test_a_job_that_reads_no_bundle_refuses_one(job: str, given: str) -> None:
    if job in (*JOBS, *READERS):
        compose(f"job={job}", given)
        return
    with pytest.raises(ConfigError, match=f"beside a job that begins with it; found {given} beside quantlab"):
        compose(f"job={job}", given)


def test_without_a_bundle_everything_is_the_configuration(composed: dict[str, DictConfig]) -> None:
    for cfg in map(DictConfig.copy, composed.values()):
        cfg.bundle = None
        refuse_decided_options(cfg, ["trading.limits.rollout=0.5", "seed=3"])


def frozen_sections(cfg: DictConfig) -> set[str]:
    """Everything that promoting freezes, or makes what it freezes of, section by section."""
    frozen = {name for name in bundle_writer.SECTIONS if name != "trading"} | {"signal", "strategy", "exits"}
    return frozen | {f"trading.{name}" for name in cfg.trading} | {f"learning.{name}" for name in cfg.learning}


@pytest.mark.parametrize("job", JOBS)
def test_whatever_promoting_freezes_is_decided_or_open_for_a_reason(composed: dict[str, DictConfig], job: str) -> None:
    """A section that is added to the configuration or to a bundle has to be put on one of the two lists."""
    cfg = composed[job]
    decided = set(cfg.job.decided_by_bundle)
    for name in decided:
        assert OmegaConf.select(cfg, name, default="absent") != "absent", f"{name} is no option"
    frozen = frozen_sections(cfg) - {"learning.registry"}  # where bundles are, no part of one
    left = {name for name in frozen if not {name, name.split(".")[0]} & decided}
    assert left == set(OPEN[job])


def test_every_job_that_reads_a_bundle_says_what_it_takes_from_there() -> None:
    """Whoever reads ``bundle`` or ``run`` in another place has to be put here, and a list beside its job."""
    stating = {
        path.stem for path in (config_folder() / "job").glob("*.yaml") if "decided_by_bundle" in path.read_text()
    }
    assert stating == {*JOBS, *READERS}
    folder = Path(jobs.__path__[0])
    reading = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if re.search(r"\bcfg\.(bundle|run)\b", path.read_text())
    }
    assert reading == {
        "parity/parity.py",
        "promotion/promote.py",
        "session/session_folder.py",
        "session/session_strategy.py",
    }


def test_the_command_line_refuses_in_one_sentence_and_writes_nothing(
    quantlab_cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = quantlab_cli("job=paper", "bundle=models/bundles/x", "trading.limits.breaker=off", "job.bars=9")
    assert done.returncode == 2
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith(
        "quantlab: expected beside bundle= no option that it decides itself; found trading.limits"
    )
    assert list(tmp_path.iterdir()) == []
