"""Registries of small members: hand-made ones that load in no time, and every member that has a recipe."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from hydra.utils import instantiate
from learning_fakes import NAMES as SMALL_NAMES
from learning_fakes import FittedCentroids
from omegaconf import OmegaConf

from quantlab.core.clock import FakeClock
from quantlab.core.ports import FittedModel
from quantlab.core.trust import Trust
from quantlab.core.types import Dataset, Features
from quantlab.features import NAMES
from quantlab.features.drift_reference import make_reference
from quantlab.learning.artifacts.golden_rows import Golden
from quantlab.learning.ensemble.ensemble import Ensemble, FittedEnsemble
from quantlab.learning.registry.store import Registry
from quantlab.learning.registry.writing import Candidate

CONF = Path(__file__).resolve().parents[3] / "conf" / "learning" / "models"
RECIPES = tuple(sorted(path.stem for path in CONF.glob("*.yaml")))
NOON_MS = 1_742_126_400_000  # 2025-03-16 12:00 UTC
#: The hand-made members.
TRUST = Trust(("learning_fakes.FittedCentroids", "registry_fakes.Deadly"))
#: Whatever of these a recipe has is made small, so that a new member joins as soon as its recipe is there.
BUDGET = {"max_rounds": 8, "max_steps": 20, "check_every_steps": 10, "hidden_units": 16, "layers": 1}


@dataclass(frozen=True)
class Contract:
    """The part of a feature source that the registry looks at."""

    names: tuple[str, ...] = SMALL_NAMES
    fingerprint: str = "small"


class Deadly(FittedCentroids):
    """Loading it kills the process, if the environment says so."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        how = os.environ.get("DEADLY")
        if how == "raise":
            raise ZeroDivisionError("deep inside a library")
        if how == "hang":
            signal.pause()
        if how:
            os.kill(os.getpid(), int(how))
        return super().load(folder)


def new_registry(root: Path, stamp_ms: int = NOON_MS) -> Registry:
    return Registry(root, FakeClock(stamp_ms), 60.0, TRUST)


def small_features(seed: int = 0, fingerprint: str = "small") -> Features:
    values = np.random.default_rng(seed).normal(size=(40, 3, 3)).astype(np.float32)
    ready = np.ones((40, 3), dtype=np.bool_)
    ready[:30, 2] = False
    values[~ready] = np.nan
    return Features(values, ready, SMALL_NAMES, fingerprint)


def centroids(seed: int, kind: type[FittedCentroids] = FittedCentroids, lookback: int = 1) -> FittedCentroids:
    rng = np.random.default_rng(seed)
    return kind(rng.normal(size=(3, 3)), np.ones(3), 1.0, np.full(3, 1 / 3), lookback)


def candidate(name: str, model: FittedModel, features: Features | None = None) -> Candidate:
    features = features or small_features()
    golden = Golden.of(name, model, features, len(features.ready))
    drift = make_reference(features, features.ready, bins=8, edge_rows=100)
    return Candidate(name, model, golden, definitions=dict.fromkeys(features.names, "1"), drift=drift)


def ensemble(names: Iterable[str]) -> FittedEnsemble:
    names = tuple(names)
    rules = Ensemble(
        min_confidence=0.34,
        min_consensus=0.5,
        quorum=1,
        liveness_bars=48,
        min_weight=0.0,
        max_weight=1.0,
        min_gain_bps=0.0,
        move_atr=2.0,
    )
    return FittedEnsemble(rules, names, (1 / len(names),) * len(names), 1.1)


def register(registry: Registry, *members: str, seed: int = 0, later_s: int = 1, **kinds: Any) -> tuple[str, ...]:
    """Register hand-made members that were tested together, `later_s` seconds after whatever was before."""
    assert isinstance(registry.clock, FakeClock)
    registry.clock.advance(1000 * later_s)
    found = [candidate(name, centroids(seed + i, kinds.get(name, FittedCentroids))) for i, name in enumerate(members)]
    return registry.register(found, ensemble=ensemble(members), source={"run": "test"})


@cache
def world() -> Dataset:
    """All 49 columns at random, with an edge in two of them."""
    rng = np.random.default_rng(0)
    shape = (420, 4)
    values = rng.normal(size=(*shape, len(NAMES))).astype(np.float32)
    ready = np.ones(shape, dtype=np.bool_)
    ready[:20] = False
    values[~ready] = np.nan
    drive = np.nan_to_num(values[:, :, 0] + values[:, :, 12])
    label = np.where(ready, np.digitize(drive + rng.normal(size=shape), (-0.5, 0.5)), -1).astype(np.int8)
    times = NOON_MS + 300_000 * np.arange(shape[0], dtype=np.int64)
    return Dataset(
        features=Features(values, ready, NAMES, "fingerprint of the tests"),
        label=label,
        weight=np.where(ready, 0.5, 0.0).astype(np.float32),
        known_at_ms=np.repeat(times[:, None] + 300_000, shape[1], axis=1),
        forward_returns=(drive[:, :, None] + rng.normal(size=(*shape, 12))).astype(np.float32),
        open_time_ms=times,
        mask=ready,
    )


@cache
def fitted(recipe: str, seed: int) -> FittedModel:
    """A member as its recipe describes it, on a small budget."""
    node = OmegaConf.load(CONF / f"{recipe}.yaml")
    small = {name: value for name, value in BUDGET.items() if name in node}
    model = instantiate(OmegaConf.create({"seed": seed, "member": node}).member, **small)
    masks = np.zeros((2, *world().mask.shape), dtype=np.bool_)
    for mask, rows in zip(masks, (slice(20, 280), slice(280, 420)), strict=True):
        mask[rows] = world().mask[rows]
    found: FittedModel = model.fit(*(world().with_mask(mask) for mask in masks))
    return found


def register_recipes(registry: Registry, seed: int) -> tuple[str, ...]:
    """Every member that has a recipe, tested together."""
    assert isinstance(registry.clock, FakeClock)
    registry.clock.advance(1000)
    found = [candidate(recipe, fitted(recipe, seed), world().features) for recipe in RECIPES]
    return registry.register(found, ensemble=ensemble(RECIPES), source={"run": "test"})
