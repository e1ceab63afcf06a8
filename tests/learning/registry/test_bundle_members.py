"""Members outside the registry, of every kind that has a recipe: in the forecast cache and as a run keeps them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from registry_fakes import RECIPES, Contract, fitted, world

from quantlab.core.errors import ArtifactError, ContractError, QuantlabError
from quantlab.core.trust import Trust
from quantlab.features.drift_reference import DriftReference, make_reference
from quantlab.learning.artifacts.golden_rows import Golden
from quantlab.learning.artifacts.sealed_folder import MANIFEST, files_digest, seal_folder, verify_folder
from quantlab.learning.ensemble.ensemble import Ensemble, FittedEnsemble
from quantlab.learning.ensemble.members import class_path
from quantlab.learning.registry.bundle_members import StoredMember, keep_member, load_drift, load_model, stored_signal
from quantlab.learning.study.forecasts import read_forecast

FEATURES = Contract(world().features.names, world().features.fingerprint)
FLIPS = 200


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def reference() -> DriftReference:
    return make_reference(world().features, world().mask, bins=20, edge_rows=1_000)


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Per recipe an entry of the cache, and the member that was kept from it."""
    root = tmp_path_factory.mktemp("shelves")
    for recipe in RECIPES:
        model, entry = fitted(recipe, 1), root / "cache" / recipe
        (entry / "model").mkdir(parents=True)
        model.save(entry / "model")
        Golden.of(recipe, model, world().features, len(world().label)).save(entry)
        np.save(entry / "proba.npy", model.predict_proba(world().features))
        seal_folder(entry, {
            "class": class_path(model), "member": recipe, "parts": {}, "feature_names": list(FEATURES.names),
            "feature_fingerprint": FEATURES.fingerprint,
        })  # fmt: skip
        digest = files_digest(entry, "model")
        keep_member(entry, root / "members" / recipe, digest, drift=reference(), definitions={"ret_1": "1"})
    return root


@pytest.fixture(params=["cache", "members"])
def shelf(request: pytest.FixtureRequest, shelves: Path) -> tuple[Path, Callable[[Path], object]]:
    """A folder of every recipe, and what loads from it."""
    return shelves / request.param, read_forecast if request.param == "cache" else StoredMember.read


def damages(recipe: str, data: bytes, flips: int) -> Iterator[bytes]:
    for percent in (0, 10, 50, 90):
        yield data[: len(data) * percent // 100]
    for i in range(flips):
        rng = np.random.default_rng([i, len(recipe), len(data)])
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
        yield bytes(flipped)
    yield from (b"\x80\x04\x95pickle", b"PK\x03\x04", b"null")


def refuse_all(root: Path, load: Callable[[Path], object], recipe: str, flips: int) -> None:
    folder = root / recipe
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        whole = path.read_bytes()
        for damaged in damages(recipe, whole, flips // len(files) + 1):
            path.write_bytes(damaged)
            with pytest.raises(ArtifactError):
                load(folder)
        path.unlink()
        with pytest.raises(ArtifactError):
            load(folder)
        path.write_bytes(whole)
    load(folder)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_damage_is_refused(shelf: tuple[Path, Callable[[Path], object]], recipe: str) -> None:
    refuse_all(*shelf, recipe, 20)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_two_hundred_flipped_bits_are_refused(shelf: tuple[Path, Callable[[Path], object]], recipe: str) -> None:
    refuse_all(*shelf, recipe, FLIPS)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_kept_member_speaks_as_it_did_and_knows_its_training(shelves: Path, recipe: str) -> None:
    folder = shelves / "members" / recipe
    stored = StoredMember.read(folder)
    said = load_model(folder, stored, Trust()).predict_proba(world().features)
    np.testing.assert_array_equal(said, fitted(recipe, 1).predict_proba(world().features))
    assert load_drift(folder) == reference()
    assert (folder / "drift.json").stat().st_size < 200_000
    with pytest.raises(ContractError, match="column 0"):
        stored.require_contract(Contract(tuple(reversed(FEATURES.names)), FEATURES.fingerprint))  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="another"):
        stored.require_contract(Contract(FEATURES.names, "another"))  # type: ignore[arg-type]


def test_another_members_folder_and_a_way_out_are_refused(shelves: Path, tmp_path: Path) -> None:
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
    shutil.copytree(shelves / "members", tmp_path / "members")

    def load(*names: str) -> object:
        weights = (1 / len(names),) * len(names)
        return stored_signal(FEATURES, tmp_path / "members", FittedEnsemble(rules, names, weights, 1.0), Trust())  # type: ignore[arg-type]

    assert load(*RECIPES) is not None
    first, second = RECIPES[:2]
    for name in (f"../members/{first}", "..", ".", f"{first}/model", "nobody"):
        with pytest.raises(QuantlabError):
            load(name)
    shutil.rmtree(tmp_path / "members" / first)
    shutil.copytree(tmp_path / "members" / second, tmp_path / "members" / first)
    with pytest.raises(ArtifactError, match=f"the member {first}"):
        load(first)
    shutil.rmtree(tmp_path / "members" / first)
    (tmp_path / "members" / first).symlink_to(shelves / "members" / first)
    with pytest.raises(ArtifactError, match="a folder"):
        load(first)


def test_other_native_files_are_refused_even_under_a_new_seal(shelves: Path, tmp_path: Path) -> None:
    folder = tmp_path / RECIPES[0]
    shutil.copytree(shelves / "members" / RECIPES[0], folder)
    facts = verify_folder(folder)
    path = next(path for path in sorted((folder / "model").iterdir()))
    path.write_bytes(path.read_bytes() + b" ")
    (folder / MANIFEST).unlink()
    seal_folder(folder, facts)
    with pytest.raises(ArtifactError, match="native files"):
        StoredMember.read(folder)


def test_only_the_member_that_was_tested_is_kept(shelves: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="with sha256 other"):
        keep_member(shelves / "cache" / RECIPES[0], tmp_path / "new", "other", drift=reference(), definitions={})
    assert not (tmp_path / "new").exists()
