"""Every file of every member that has a recipe, damaged in every way, through every entry that loads.

Always: refused with a sentence, this process lives, and the version that served before serves again.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from registry_fakes import RECIPES, Contract, fitted, new_registry, register_recipes, world

from quantlab.core.errors import ArtifactError, ContractError
from quantlab.core.files import sha256_file, write_json
from quantlab.core.fingerprint import fingerprint
from quantlab.core.trust import Trust
from quantlab.learning.artifacts.golden_rows import Golden
from quantlab.learning.artifacts.sealed_folder import MANIFEST, seal_folder
from quantlab.learning.ensemble.members import load_member
from quantlab.learning.models.artifact import CARD_FILE
from quantlab.learning.registry import inspection as registry_module
from quantlab.learning.registry.log import LOG, POINTER
from quantlab.learning.registry.names import split_version
from quantlab.learning.registry.serving import serve
from quantlab.learning.registry.status import Status
from quantlab.learning.registry.store import Registry
from quantlab.learning.registry.writing import Candidate

FEATURES = Contract(world().features.names, world().features.fingerprint)
FAST_FLIPS, ALL_FLIPS = 40, 200


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here loses its power; waiting for the disk is most of a refusal's time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Two releases of all members; the newer one serves. Tests put back what they damage."""
    found = new_registry(tmp_path_factory.mktemp("faults") / "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry_module, "prove", lambda *_: None)  # whole files; damaged ones come later
        for seed in (1, 2):
            found.promote(register_recipes(found, seed), FEATURES, f"seed {seed}")
    return found


@contextmanager
def damaged(registry: Registry, version: str) -> Iterator[Path]:
    """A version's folder to damage; afterwards it, pointer and log are put back."""
    folder = registry.folder / version
    book = {name: (registry.folder / name).read_bytes() for name in (POINTER, LOG)}
    aside = folder.with_name(".aside")
    shutil.copytree(folder, aside)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
        for name, content in book.items():
            (registry.folder / name).write_bytes(content)


def files_of(registry: Registry, version: str) -> list[str]:
    """Every file of a version, nested ones too."""
    folder = registry.folder / version
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def before(registry: Registry, version: str) -> str:
    """The version of the same member that served earlier."""
    member = split_version(version)[0]
    return min(name for name in registry.versions() if split_version(name)[0] == member)


def assert_load_refused(registry: Registry, version: str) -> None:
    """With a sentence that names it; and what was before is in service again."""
    with pytest.raises(ArtifactError, match=version):
        registry.load(version, FEATURES)
    assert registry.status(version) is Status.QUARANTINED
    assert set(registry.active().values()) == {before(registry, v) for v in registry.versions()}


def assert_refused(registry: Registry, version: str) -> None:
    """Through every entry, from the same damage and the same pointer."""
    pointer = (registry.folder / POINTER).read_bytes()
    stamp = split_version(version)[1]
    entries: list[Callable[[], object]] = [
        lambda: registry.describe(version),
        lambda: registry.verify(version),
        lambda: registry.promote([v for v in registry.versions() if v.endswith(stamp)], FEATURES, "test"),
    ]
    for entry in entries:
        with pytest.raises(ArtifactError, match=version):
            entry()
        assert registry.status(version) is Status.QUARANTINED
        (registry.folder / POINTER).write_bytes(pointer)
    serving = serve(registry, FEATURES)  # type: ignore[arg-type]
    assert set(serving.release.values()) == {before(registry, v) for v in registry.versions()}
    assert version in serving.refusal
    (registry.folder / POINTER).write_bytes(pointer)
    assert_load_refused(registry, version)


def assert_member_refused(registry: Registry, version: str) -> None:
    """The member's own load, without a registry around it."""
    with pytest.raises(ArtifactError):
        load_member(class_path_of(split_version(version)[0]), registry.folder / version / "model", Trust())


def class_path_of(recipe: str) -> str:
    kind = type(fitted(recipe, 1))
    return f"{kind.__module__}:{kind.__qualname__}"


def serving_version(registry: Registry, recipe: str) -> str:
    return registry.active()[recipe]


def test_whole_members_come_back_and_speak_the_same(registry: Registry) -> None:
    serving = serve(registry, FEATURES)  # type: ignore[arg-type]
    assert [member.name for member in serving.signal.members] == list(RECIPES)
    for member in serving.signal.members:
        np.testing.assert_array_equal(
            member.model.predict_proba(world().features), fitted(member.name, 2).predict_proba(world().features)
        )


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_truncated_file_is_refused(registry: Registry, recipe: str) -> None:
    version = serving_version(registry, recipe)
    for file in files_of(registry, version):
        for percent in (0, 10, 50, 90):
            with damaged(registry, version) as folder:
                data = (folder / file).read_bytes()
                (folder / file).write_bytes(data[: len(data) * percent // 100])
                if file.startswith("model/"):
                    assert_member_refused(registry, version)
                assert_load_refused(registry, version)


def flip_bits(registry: Registry, recipe: str, flips: range) -> None:
    """Random bits, spread over the member's files."""
    version = serving_version(registry, recipe)
    files = files_of(registry, version)
    for i in flips:
        rng = np.random.default_rng([i, len(recipe)])
        file = files[i % len(files)]
        with damaged(registry, version) as folder:
            data = bytearray((folder / file).read_bytes())
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
            (folder / file).write_bytes(data)
            if file.startswith("model/"):
                assert_member_refused(registry, version)
            assert_load_refused(registry, version)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_flipped_bit_is_refused(registry: Registry, recipe: str) -> None:
    flip_bits(registry, recipe, range(FAST_FLIPS // len(RECIPES)))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_two_hundred_flipped_bits_are_refused(registry: Registry, recipe: str) -> None:
    flip_bits(registry, recipe, range(ALL_FLIPS))


@pytest.mark.parametrize("recipe", RECIPES)
def test_files_of_another_version_are_refused(registry: Registry, recipe: str) -> None:
    version = serving_version(registry, recipe)
    other = registry.folder / before(registry, version)
    for file in files_of(registry, version):
        if (other / file).read_bytes() != (registry.folder / version / file).read_bytes():
            with damaged(registry, version) as folder:
                shutil.copyfile(other / file, folder / file)
                assert_load_refused(registry, version)
    with damaged(registry, version) as folder:
        shutil.rmtree(folder)
        shutil.copytree(other, folder)
        assert_refused(registry, version)


@pytest.mark.parametrize("recipe", RECIPES)
def test_another_format_a_missing_and_a_foreign_file_are_refused(registry: Registry, recipe: str) -> None:
    version = serving_version(registry, recipe)
    for file in files_of(registry, version):
        for content in (b"\x80\x04\x95pickle", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"null", None):
            with damaged(registry, version) as folder:
                if content is None:
                    (folder / file).unlink()
                else:
                    (folder / file).write_bytes(content)
                if file.startswith("model/"):
                    assert_member_refused(registry, version)
                assert_load_refused(registry, version)
    for foreign in ("model/extra.txt", "extra"):
        with damaged(registry, version) as folder:
            (folder / foreign).write_text("x")
            assert_load_refused(registry, version)
    with damaged(registry, version) as folder:
        (folder / "model").rename(folder.parent / ".elsewhere")
        (folder / "model").symlink_to(folder.parent / ".elsewhere")
        try:
            assert_load_refused(registry, version)
        finally:
            shutil.rmtree(folder.parent / ".elsewhere")
    with damaged(registry, version) as folder:
        shutil.rmtree(folder)
        assert_refused(registry, version)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    "change",
    [{"feature_fingerprint": "x"}, {"class_path": "os:system"}, {"version": "x_v20200101_000000"}, {"metrics": {"auc": 1}}],
)  # fmt: skip
def test_an_edited_manifest_is_refused(registry: Registry, recipe: str, change: dict[str, object]) -> None:
    """With and without its hashes made to fit."""
    version = serving_version(registry, recipe)
    with damaged(registry, version) as folder:
        manifest = json.loads((folder / MANIFEST).read_text())
        manifest["facts"].update(change)
        pointer = (registry.folder / POINTER).read_bytes()
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        assert_load_refused(registry, version)
        (folder / MANIFEST).unlink()
        seal_folder(folder, manifest["facts"])
        (registry.folder / POINTER).write_bytes(pointer)
        assert_load_refused(registry, version)


@pytest.mark.parametrize("recipe", RECIPES)
def test_wrong_features_are_refused_before_a_predict(registry: Registry, recipe: str) -> None:
    version = serving_version(registry, recipe)
    names = FEATURES.names
    for wrong in (
        Contract(names, "another"),
        Contract((names[1], names[0], *names[2:]), FEATURES.fingerprint),
        Contract(names[:-1], FEATURES.fingerprint),
    ):
        with pytest.raises(ContractError):
            registry.load(version, wrong)
        with pytest.raises(ContractError):
            serve(registry, wrong)  # type: ignore[arg-type]
    model = registry.load(version, FEATURES)
    with pytest.raises(ContractError):
        model.predict_proba(dataclasses.replace(world().features, fingerprint="another"))
    assert registry.status(version) is Status.ACTIVE


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_damaged_native_file_whose_hashes_all_fit_does_not_become_a_version(recipe: str, tmp_path: Path) -> None:
    """Only the library, in a child, and the golden predictions stand between it and a promotion."""
    model = fitted(recipe, 1)
    golden = Golden.of(recipe, model, world().features, len(world().label))
    for part in (0.5,):
        forged = _Forged(model, part)
        folder = tmp_path / f"{part}"
        folder.mkdir()
        registry = new_registry(folder / "models")
        candidate = Candidate(recipe, forged, golden)  # type: ignore[arg-type]
        with pytest.raises(ArtifactError, match=f"{recipe}_v"):
            registry.register([candidate], ensemble=None, source={})
        assert registry.versions() == ()
        assert not [path for path in registry.folder.iterdir() if path.is_dir()]


class _Forged:
    """Saves half of what a member saves, with a card whose hashes fit."""

    def __init__(self, model: object, part: float) -> None:
        self.model, self.part = model, part
        self.__class__ = type(type(model).__qualname__, (_Forged,), {"__module__": type(model).__module__})

    def save(self, folder: Path) -> None:
        self.model.save(folder)  # type: ignore[attr-defined]
        card = json.loads((folder / CARD_FILE).read_text())
        native = folder / card["file"]
        native.write_bytes(native.read_bytes()[: int(native.stat().st_size * self.part)])
        rewrite_card(folder, card)


def rewrite_card(folder: Path, card: dict[str, object]) -> None:
    """Give a card the hashes that its changed native file asks for."""
    card.pop("card_sha256")
    card["sha256"] = sha256_file(folder / str(card["file"]))
    write_json(folder / CARD_FILE, {**card, "card_sha256": fingerprint(card)})
