"""Values that no job can run with are refused while the configuration becomes objects: before any work."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from omegaconf import DictConfig, OmegaConf

from quantlab.core.errors import ConfigError, InstallationError
from quantlab.jobs.config.composition import check_configuration, check_experiment_name, compose
from quantlab.jobs.doctor.check import Status
from quantlab.jobs.doctor.data import check_data
from quantlab.jobs.doctor.doctor import check_writable
from quantlab.jobs.output.run_folder import record_failure, run_folder
from quantlab.jobs.research.pipeline import setup
from quantlab.learning.models.rows import refusals_of

LEARNED = "experiment=ensemble_v2"
XGBOOST, LIGHTGBM = "learning.members.xgboost", "learning.members.lightgbm"

NOT_WHOLE = [
    "seed",
    "workers",
    "history.bars",
    "barriers.horizon",
    "data.seed",
    "data.days",
    "data.n_symbols",
    "data.late_listings",
    "data.interval_ms",
    "trading.signal.fast",
    "trading.signal.slow",
    "trading.limits.max_positions",
]
NOT_WHOLE_LEARNED = [
    "learning.study.bootstrap_samples",
    "learning.splits.n_folds",
    "learning.splits.min_train_bars",
    "learning.splits.every_k",
    "learning.ensemble.quorum",
    "learning.ensemble.liveness_bars",
    *(f"{XGBOOST}.{k}" for k in ("max_rounds", "early_stopping_rounds", "max_depth", "max_bin", "seed", "threads")),
    *(f"{LIGHTGBM}.{k}" for k in ("max_rounds", "early_stopping_rounds", "num_leaves", "min_data_in_leaf")),
    *(f"{LIGHTGBM}.{k}" for k in ("max_bin", "seed", "threads")),
]


@cache
def composed(*overrides: str) -> DictConfig:
    """Composing takes half a second: once for all values."""
    return compose(*overrides)


def refusal(key: str, value: object, *overrides: str) -> str:
    """The sentence of what is refused when `key` is set to `value`."""
    cfg = copy.deepcopy(composed(*overrides))
    OmegaConf.update(cfg, key, value, force_add=True)
    with pytest.raises(ConfigError) as caught:
        check_configuration(cfg)
        setup(cfg)
    return str(caught.value)


@pytest.mark.parametrize("key", NOT_WHOLE)
def test_whole_numbers_are_whole(key: str) -> None:
    assert f"{key.rsplit('.', 1)[-1]} as a whole number" in refusal(key, 1.5)


@pytest.mark.parametrize("key", NOT_WHOLE_LEARNED)
def test_learning_has_whole_numbers_too(key: str) -> None:
    assert f"{key.rsplit('.', 1)[-1]} as a whole number" in refusal(key, 1.5, LEARNED)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("barriers.horizon", 0),
        ("barriers.horizon", "abc"),
        ("barriers.stop_atr", 0),
        ("barriers.take_profit_atr", 1),
        ("barriers.stop_atr", None),
        ("history", None),
        ("history", 5),
        ("barriers", None),
        ("strategy", None),
        ("signal", None),
        ("strategy.limits", None),
        ("strategy.policy", 5),
        ("trading.limits", None),
        ("trading.instrument", None),
        ("trading.signal.features", None),
        ("trading.policy.rebalance", "maybe"),
        ("trading.limits.daily_flatten", "maybe"),
        ("data.instrument", None),
        ("features", None),
        ("learning", None),
        ("job", None),
        ("internal", None),
        ("internal.portfolio", None),
        ("runs_dir", None),
        ("cache_dir", 5),
        ("cash", "abc"),
        ("cash", True),
    ],
)
def test_what_is_missing_or_of_another_kind_is_refused(key: str, value: object) -> None:
    assert key.rsplit(".", 1)[-1] in refusal(key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trading.policy.rebalance", 1),
        ("learning.study.features", None),
        ("learning.members", None),
        (XGBOOST, None),
        (f"{XGBOOST}.reg_lambda", -1),
        (f"{XGBOOST}.min_child_weight", -1),
        (f"{XGBOOST}.max_depth", 21),
        (f"{XGBOOST}.subsample", 0),
        (f"{XGBOOST}.learning_rate", 2),
        (f"{XGBOOST}.seed", -1),
        (f"{XGBOOST}.seed", 3_000_000_000),
        (f"{XGBOOST}.device", "tpu"),
        (f"{LIGHTGBM}.lambda_l2", -1),
        (f"{LIGHTGBM}.num_leaves", 1),
        (f"{LIGHTGBM}.feature_fraction", 1.5),
        (f"{LIGHTGBM}.seed", 3_000_000_000),
        ("learning.tuning.round_size", 0),
        ("learning.tuning.members.folds", 0),
        ("learning.tuning.members.test_share", 1.0),
        ("learning.tuning.members.prune_below", 0.9),
        ("learning.tuning.members.searches.xgboost.trials", 0),
        ("learning.tuning.members.searches.xgbost", {"trials": 1, "space": {}}),
        ("learning.tuning.members.searches.xgboost.space.max_depht", {"low": 1, "high": 2}),
        ("learning.tuning.members.searches.xgboost.space.max_depth.low", "a"),
        ("learning.tuning.thresholds.trials", 0),
        ("learning.tuning.thresholds.min_trades", -1),
    ],
)
def test_learning_refuses_what_it_cannot_be_made_of(key: str, value: object) -> None:
    assert key.rsplit(".", 1)[-1] in refusal(key, value, LEARNED)


@pytest.mark.parametrize("name", ["policy.hoirzon", "costs.slippage_bps", "ensemble.liveness_bars"])
def test_only_what_may_be_chosen_is_searched(name: str) -> None:
    cfg = copy.deepcopy(composed(LEARNED))
    cfg.learning.tuning.thresholds.space = {name: {"low": 1, "high": 2}}
    with pytest.raises(ConfigError, match=name):
        setup(cfg)


@pytest.mark.parametrize("override", ["debug=null", "experiment=null", "trading/limits=null"])
def test_a_group_without_an_option_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="instead of null"):
        compose(override)


@pytest.mark.parametrize(("key", "value"), [("symbols", None), ("symbols", 5), ("symbols", ["BTC", 5]), ("root", None)])
def test_folders_and_symbols_are_names(key: str, value: object) -> None:
    assert f"data.{key}" in refusal(f"data.{key}", value, "data=parquet", "data.root=x")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a b", "x" * 65, "é"])
def test_an_experiment_is_named_like_a_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="experiment_name"):
        check_experiment_name(name)
    check_experiment_name("a.B-9_" + "x" * 58)


def config(folder: Path, **values: object) -> DictConfig:
    """As little of a configuration as a run folder needs."""
    plain = {"runs_dir": str(folder / "runs"), "cache_dir": str(folder / "cache"), "experiment_name": "x", "seed": 1}
    return OmegaConf.create({**plain, **values})


def test_nothing_is_written_outside_the_runs(tmp_path: Path) -> None:
    runs = tmp_path / "deep" / "runs"
    cfg = config(tmp_path, runs_dir=str(runs), experiment_name="../../out")
    with pytest.raises(ConfigError, match="experiment_name"), run_folder(cfg):
        pass
    assert not list(tmp_path.iterdir())
    assert record_failure(cfg, "because").parent == runs / "unnamed"


@pytest.mark.parametrize("key", ["runs_dir", "cache_dir"])
def test_folders_that_are_files_are_refused_before_any_work(tmp_path: Path, key: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "below"):
        cfg = config(tmp_path, **{key: str(path)})
        with pytest.raises(InstallationError, match=key), run_folder(cfg):
            pass
        assert check_writable(key, path, "").status is Status.BROKEN
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert check_writable(key, tmp_path / "new" / "below", "").status is Status.OK
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_doctor_names_the_missing_value_and_every_refused_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = check_data(compose("data=parquet"))
    assert (missing.status, missing.detail) == (Status.NOT_SET_UP, "no value for data.root")
    for name in ("AAA", "BBB"):
        (tmp_path / f"{name}.parquet").write_bytes(b"no parquet")
    broken = check_data(compose("data=parquet", f"data.root={tmp_path}"))
    assert broken.status is Status.BROKEN
    assert "AAA.parquet" in broken.detail
    assert "BBB.parquet" in broken.detail


def test_what_a_tree_library_refuses_gets_one_sentence() -> None:
    rows, labels = np.random.default_rng(0).random((100, 2)), np.zeros(100)
    with (
        pytest.raises(ConfigError, match=r"hyper-parameters of trees .* found value -3 for Parameter max_depth"),
        refusals_of("trees", xgb.core.XGBoostError),
    ):
        xgb.train({"max_depth": -3}, xgb.DMatrix(rows, label=labels), 1)
    with (
        pytest.raises(ConfigError, match=r"hyper-parameters of trees .*lambda_l2"),
        refusals_of("trees", lgb.basic.LightGBMError),
    ):
        lgb.train({"lambda_l2": -1.0, "verbosity": -1}, lgb.Dataset(rows, label=labels), 1)
    with pytest.raises(ZeroDivisionError), refusals_of("trees", lgb.basic.LightGBMError):
        1 / 0  # noqa: B018 - a bug stays one


@pytest.mark.parametrize(
    "option", ["trading.limits.breaker", "trading.limits.max_positions", "trading.costs.participation"]
)
def test_off_takes_a_limit_out_and_is_no_number_elsewhere(option: str) -> None:
    """As conf/trading/limits says and docs/parity.md types it."""
    assert str(OmegaConf.select(compose(f"{option}=off"), option)) == "off"
    with pytest.raises(ConfigError, match="as a number; found 'off'"):
        compose("data.days=off")
