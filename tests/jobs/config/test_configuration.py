"""Every yaml composes, and every node with a ``_target_`` can be constructed."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from quantlab.core.errors import ConfigError
from quantlab.core.ports import Learner, SignalSource
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.config.folder import config_folder
from quantlab.jobs.research.pipeline import setup

CONF = config_folder()
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
OPTIONS = sorted(
    path.relative_to(CONF).with_suffix("").as_posix()
    for path in CONF.rglob("*.yaml")
    if path.parent != CONF and path.relative_to(CONF).parts[0] not in ("experiment", "debug", "job")
)
#: Values that only a user can give.
GIVEN = {"data/parquet": ["data.root=folder"], "trading/signal/file": ["trading.signal.path=signals.parquet"]}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("debug", [[], ["debug=tiny"]])
def test_every_experiment_composes_and_constructs(experiment: str, debug: list[str]) -> None:
    cfg = compose(f"experiment={experiment}", *debug)
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    parts = setup(cfg)
    assert isinstance(parts.signal, Learner | SignalSource)
    assert parts.source.synthetic
    assert parts.make_strategy(signal=parts.signal).costs == build(cfg.trading.costs)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_constructs(option: str) -> None:
    group, _, name = option.rpartition("/")
    if group == "learning/models":
        cfg = compose(f"+learning/models@learning.members.{name}={name}")
        node = cfg.learning.members[name]
    elif group == "evaluation/stress":
        node = compose(f"{group}@stress={name}").stress
    elif group == "features/drift":  # nothing in the main configuration reads it yet
        node = OmegaConf.load(CONF / f"{option}.yaml")
    else:
        given = GIVEN.get(option, [])
        cfg = compose("experiment=ensemble_v2", f"{group}={name}", *given)
        node = OmegaConf.select(cfg, group.replace("/", "."))
    assert build(node) is not None


def test_every_yaml_is_reached() -> None:
    """No option is left out by the patterns above."""
    rest = {p.relative_to(CONF).as_posix() for p in CONF.rglob("*.yaml")} - {f"{o}.yaml" for o in OPTIONS}
    assert {Path(p).parts[0] for p in rest} == {"config.yaml", "experiment", "debug", "job"}


def test_unknown_keys_inside_a_node_are_refused_by_its_constructor() -> None:
    cfg = compose("+trading.costs.slipage_bps=1")
    with pytest.raises(ConfigError, match="slipage_bps"):
        build(cfg.trading.costs)


def test_the_barriers_reach_labels_and_policy_alike() -> None:
    changed = ("barriers.horizon=7", "barriers.stop_atr=0.9", "barriers.take_profit_atr=3")
    cfg = compose("trading/policy=ensemble_threshold", *changed)
    labels, policy = build(cfg.learning.labels), build(cfg.trading.policy)
    for name in ("horizon", "stop_atr", "take_profit_atr"):
        assert getattr(labels, name) == getattr(policy, name) == cfg.barriers[name]
    assert build(cfg.learning.ensemble).move_atr == 3


def test_an_experiment_may_leave_elsewhere_than_its_labels_end() -> None:
    cfg = compose("experiment=ensemble_v2", "exits.horizon=7")
    labels, policy = build(cfg.learning.labels), build(cfg.trading.policy)
    assert (labels.horizon, policy.horizon) == (cfg.barriers.horizon, 7)
    assert (policy.stop_atr, policy.take_profit_atr) == (cfg.exits.stop_atr, None)


def test_a_wrong_target_is_refused_and_a_bug_is_not_hidden() -> None:
    for target in ("quantlab.nowhere.Thing", "quantlab.trading.strategy.strategy.Nothing"):
        with pytest.raises(ConfigError, match=r"Nothing|nowhere"):
            build(OmegaConf.create({"_target_": target}))
    with pytest.raises(ZeroDivisionError):
        build(OmegaConf.create({"_target_": "operator.truediv", "_args_": [1, 0]}))
    with pytest.raises(TypeError, match="unsupported operand"):
        build(OmegaConf.create({"_target_": "operator.add", "_args_": [1, "a"]}))
