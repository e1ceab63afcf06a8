"""A thousand features that are not the agreed ones, through every door: each is refused before anything is predicted."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pytest

from quantlab.core.errors import ContractError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars
from quantlab.core.types import Dataset, Features
from quantlab.features import NAMES, WARMUP, FeatureContract, FeaturePipeline, feature_mismatch_total
from quantlab.features.catalogue import CATALOGUE
from quantlab.features.contract import features_fingerprint
from quantlab.features.drift import Drift
from quantlab.learning.ensemble.ensemble import Ensemble, FittedEnsemble
from quantlab.learning.ensemble.signal_source import EnsembleSignal, Member
from quantlab.learning.models.lightgbm import FittedLightGBM, LightGBM
from quantlab.learning.models.xgboost import FittedXGBoost, XGBoost

INTERVAL = 300_000
FINGERPRINT = FeaturePipeline(interval_ms=INTERVAL, threads=1).fingerprint
CONTRACT = FeatureContract(names=NAMES, fingerprint=FINGERPRINT)
SHAPE = (6, 3)
COUNT = 1_000


def agreed() -> Features:
    """Six bars of three symbols, the first bar not ready."""
    values = np.random.default_rng(0).normal(size=(*SHAPE, len(NAMES))).astype(np.float32)
    ready = np.ones(SHAPE, dtype=bool)
    values[0], ready[0] = np.nan, False
    return Features(values, ready, NAMES, FINGERPRINT)


@dataclass(frozen=True)
class Mutation:
    """What is wrong, the spoiled features and the words that the refusal must contain."""

    kind: str
    features: Features
    words: tuple[str, ...]


def columns(names: list[str], kind: str) -> Mutation:
    """Features with other names; the values follow their columns."""
    good = agreed()
    picked = [NAMES.index(name) if name in NAMES else 0 for name in names]
    values = np.ascontiguousarray(good.values[:, :, picked])
    padded = max(len(names), len(NAMES))
    pairs = [(side + [None] * (padded - len(side))) for side in (list(NAMES), names)]
    first = next(i for i in range(padded) if pairs[0][i] != pairs[1][i])
    sides = tuple("nothing" if side[first] is None else repr(side[first]) for side in pairs)
    words = (f"49 features with {sides[0]} in column {first}", f"found {len(names)} features with {sides[1]} there")
    return Mutation(kind, Features(values, good.ready, tuple(names), FINGERPRINT), words)


def other_print(kind: str, found: str) -> Mutation:
    return Mutation(kind, dataclasses.replace(agreed(), fingerprint=found), (FINGERPRINT, found, "same 49 names"))


def version_print(rng: np.random.Generator) -> str:
    """The fingerprint of a catalogue in which one definition has another version or window, or the warm-up another length."""
    rows = [[spec.name, spec.version, spec.windows] for spec in CATALOGUE]
    warmup, which = WARMUP, int(rng.integers(len(rows)))
    match rng.integers(3):
        case 0:
            rows[which][1] += int(rng.integers(1, 9))
        case 1:
            rows[which][2] = (*rows[which][2][:-1], rows[which][2][-1] + int(rng.integers(1, 9)))
        case _:
            warmup += int(rng.integers(1, 500))
    return fingerprint([tuple(row) for row in rows], warmup, "float32", INTERVAL)


def mutations() -> Iterator[Mutation]:
    rng = np.random.default_rng(42)
    names = list(NAMES)
    yield columns(names[:22], "22 instead of 49")
    yield columns([*names, "extra"], "50 instead of 49")
    for _ in range(COUNT - 2):
        i, j = (int(k) for k in rng.choice(len(names), 2, replace=False))
        match rng.integers(9):
            case 0:
                yield columns(names[:i] + names[i + 1 :], "dropped")
            case 1:
                yield columns([*names[:i], f"new_{j}", *names[i:]], "added")
            case 2:
                yield columns([*names[:i], names[i] + rng.choice(["_", " ", "x"]), *names[i + 1 :]], "renamed")
            case 3:
                swapped = names.copy()
                swapped[i], swapped[j] = names[j], names[i]
                yield columns(swapped, "reordered")
            case 4:
                yield columns([*names[:i], names[j], *names[i:]], "duplicated")
            case 5:
                yield columns([*names[:i], names[j], *names[i + 1 :]], "replaced by another")
            case 6:
                yield other_print("interval", features_fingerprint(int(rng.integers(1, 10**9)), np.float32))
            case 7:
                yield other_print("version", version_print(rng))
            case _:
                good = agreed()
                values = good.values.copy()
                t, s = int(rng.integers(1, SHAPE[0])), int(rng.integers(SHAPE[1]))
                values[t, s, i] = rng.choice([np.nan, np.inf, -np.inf])
                words = (repr(names[i]), f", symbol {s}", "finite values in every ready row")
                yield Mutation("not finite", dataclasses.replace(good, values=values), words)


class Untouchable:
    """A library's model that nobody may ask anything."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"the model was asked for {name}")


def dataset(features: Features) -> Dataset:
    label = np.where(features.ready, 1, -1).astype(np.int8)
    return Dataset(
        features=features,
        label=label,
        weight=np.ones(SHAPE, np.float32),
        known_at_ms=np.zeros(SHAPE, np.int64),
        forward_returns=np.zeros((*SHAPE, 2), np.float32),
        open_time_ms=INTERVAL * np.arange(SHAPE[0]),
        mask=features.ready.copy(),
    )


@dataclass(frozen=True)
class Given:
    """A source that hands over these features, whatever the bars."""

    features: Features
    fingerprint: str = FINGERPRINT
    names: tuple[str, ...] = NAMES
    warmup: int = 1

    def transform(self, bars: Bars) -> Features:
        return self.features

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> Given:
        return self

    def update(self, bar: Bars) -> Features:
        """The row that is spoiled, or the last one."""
        spoiled = self.features.ready & ~np.isfinite(self.features.values).all(axis=2)
        row = int(np.argmax(spoiled.any(axis=1))) if spoiled.any() else SHAPE[0] - 1
        return self.features.rows(row, row + 1)


MEMBERS = (
    Member("lightgbm", FittedLightGBM(Untouchable(), CONTRACT, 1, np.zeros((0, 49), np.float32)), "0"),
    Member("xgboost", FittedXGBoost(Untouchable(), CONTRACT, 1, np.zeros((0, 49), np.float32)), "0"),
)
VOTE = FittedEnsemble(Ensemble(0.36, 0.5, 2, 48, 0.1, 0.9, 0.0, 2.0), ("lightgbm", "xgboost"), (0.5, 0.5), 1.0)
_BOTH = (2, 1, 0.1, 8, (), (), (1.0, 1.0, 1.0), 0, 1)
TREES = {
    "xgboost": XGBoost("xgboost", *_BOTH, 2, 1.0, 1.0, 1.0, 1.0, "cpu"),
    "lightgbm": LightGBM("lightgbm", *_BOTH, 4, 1, 1.0, 1.0, 1.0),
}
MONITOR = Drift(10, 5, 100, 10, 2, 1, 0.1, 0.25, 0.1, 0.2).monitor(
    Drift(10, 5, 100, 10, 2, 1, 0.1, 0.25, 0.1, 0.2).reference(agreed(), np.ones(SHAPE, dtype=bool))
)


def doors(features: Features, bars: Bars) -> dict[str, Any]:
    """Every public way in for features."""
    source = EnsembleSignal(Given(features), MEMBERS, VOTE)
    good = dataset(agreed())
    return {
        "contract": lambda: CONTRACT.check(features),
        "xgboost.predict_proba": lambda: MEMBERS[1].model.predict_proba(features),
        "lightgbm.predict_proba": lambda: MEMBERS[0].model.predict_proba(features),
        "EnsembleSignal.signal": lambda: source.signal(bars),
        "EnsembleStream.update": lambda: source.stream(bars.symbols, INTERVAL).update(bars.rows(0, 1)),
        "xgboost.fit, early stopping": lambda: TREES["xgboost"].fit(good, dataset(features)),
        "lightgbm.fit, early stopping": lambda: TREES["lightgbm"].fit(good, dataset(features)),
        "xgboost.fit, training": lambda: TREES["xgboost"].fit(dataset(features), good),
        "lightgbm.fit, training": lambda: TREES["lightgbm"].fit(dataset(features), good),
        "drift": lambda: MONITOR.update(features),
    }


@pytest.fixture
def nothing_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a library was asked to fit")

    for target in ("xgboost.train", "xgboost.QuantileDMatrix", "lightgbm.train", "lightgbm.Dataset"):
        monkeypatch.setattr(target, refuse)


def test_a_thousand_mutations_are_refused_at_every_door(nothing_is_fitted, random_bars):
    bars = random_bars(0, SHAPE[0], SHAPE[1])
    kinds: Counter[str] = Counter()
    for mutation in mutations():
        kinds[mutation.kind] += 1
        for door, enter in doors(mutation.features, bars).items():
            before = feature_mismatch_total()
            with pytest.raises(ContractError) as refusal:
                enter()
            assert feature_mismatch_total() == before + 1, (door, mutation.kind)
            text = str(refusal.value)
            if "training" in door:  # there the mutated side is what the other is held against
                assert refusal.value.expected
                assert refusal.value.found
                continue
            for words in mutation.words:
                assert words in text, (door, mutation.kind, text)
    assert sum(kinds.values()) == COUNT
    assert len(kinds) == 11
    assert min(count for kind, count in kinds.items() if "instead" not in kind) > 80, kinds


def test_the_agreed_features_pass_the_same_doors(random_bars):
    """Nothing above was refused for another reason: the agreed features get as far as the untouchable model."""
    before = feature_mismatch_total()
    for door, enter in doors(agreed(), random_bars(0, SHAPE[0], SHAPE[1])).items():
        if "predict" in door or "Ensemble" in door:
            with pytest.raises(AssertionError, match="the model was asked"):
                enter()
        elif "fit" not in door:
            enter()
    assert feature_mismatch_total() == before


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.int64, bool, object])
def test_another_dtype_never_becomes_features(dtype):
    good = agreed()
    values = np.nan_to_num(good.values).astype(dtype)
    with pytest.raises(ContractError) as refusal:
        Features(values, good.ready, NAMES, FINGERPRINT)
    assert "float32" in str(refusal.value)
    assert np.dtype(dtype).name in str(refusal.value)


def test_repeated_names_are_no_contract():
    before = feature_mismatch_total()
    with pytest.raises(ContractError, match=r"3 features with different names; found 'a' 2 times, first in column 0"):
        FeatureContract(("a", "b", "a"), "x")
    assert feature_mismatch_total() == before + 1


def test_a_known_fingerprint_is_put_into_words():
    hourly = features_fingerprint(3_600_000, np.float32)
    with pytest.raises(ContractError) as refusal:
        CONTRACT.check(dataclasses.replace(agreed(), fingerprint=hourly))
    assert "expected features of 300000 ms bars as float32" in str(refusal.value)
    assert "found features of 3600000 ms bars as float32" in str(refusal.value)
