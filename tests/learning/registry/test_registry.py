"""The life of a version: registered, promoted, replaced, rolled back, quarantined; and what a session sees."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from learning_fakes import SmallFeatures
from registry_fakes import (
    TRUST,
    Contract,
    Deadly,
    candidate,
    centroids,
    ensemble,
    new_registry,
    register,
    small_features,
)

from quantlab.core.errors import ArtifactError, ConfigError, ContractError, InstallationError
from quantlab.core.fakes import MemoryStore
from quantlab.core.market import Bars
from quantlab.core.trust import Trust
from quantlab.learning.artifacts.sealed_folder import MANIFEST, seal_folder
from quantlab.learning.ensemble.members import predict_rows
from quantlab.learning.registry import inspection as registry_module
from quantlab.learning.registry.log import LOG, POINTER
from quantlab.learning.registry.serving import serve
from quantlab.learning.registry.status import Status
from quantlab.learning.registry.store import Registry

FEATURES = Contract()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs that were tested together; the older was promoted, then the newer."""
    root = tmp_path_factory.mktemp("stored") / "models"
    registry = new_registry(root)
    for seed in (0, 10):
        registry.promote(register(registry, "a", "b", seed=seed), FEATURES, f"seed {seed}")
    return root


@pytest.fixture
def registry(stored: Path, tmp_path: Path) -> Registry:
    shutil.copytree(stored, tmp_path / "models")
    return new_registry(tmp_path / "models", 1_742_212_800_000)


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process takes seconds; where it is not the matter it is left out."""
    monkeypatch.setattr(registry_module, "prove", lambda *_: None)


def old_and_new(registry: Registry) -> tuple[tuple[str, str], tuple[str, str]]:
    a1, a2, b1, b2 = registry.versions()
    return (a1, b1), (a2, b2)


def damage(registry: Registry, version: str, file: str = "model/means.npy") -> None:
    path = registry.folder / version / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_member_comes_back_as_it_went(registry: Registry) -> None:
    (a1, _), (a2, b2) = old_and_new(registry)
    assert registry.active() == {"a": a2, "b": b2}
    features = small_features()
    for version, seed in ((a1, 0), (a2, 10), (b2, 11)):
        said = registry.load(version, FEATURES).predict_proba(features)
        np.testing.assert_array_equal(said, centroids(seed).predict_proba(features))


def test_a_manifest_says_everything(registry: Registry) -> None:
    version = registry.active()["a"]
    facts = registry.describe(version)
    assert facts["version"] == version
    assert facts["class_path"] == "learning_fakes:FittedCentroids"
    assert facts["feature_names"] == list(FEATURES.names)
    assert facts["together"] == list(registry.active().values())
    assert facts["packages"]["numpy"] == np.__version__
    manifest = json.loads((registry.folder / version / MANIFEST).read_text())
    assert set(manifest["files"]) == {
        "drift.json", "golden_outputs.npy", "golden_ready.npy", "golden_values.npy", "model/means.npy", "model/rest.npy",
    }  # fmt: skip
    assert all(set(file) == {"sha256", "bytes"} for file in manifest["files"].values())


def test_a_version_knows_what_the_features_looked_like_in_training(registry: Registry) -> None:
    version = registry.active()["a"]
    reference = registry.drift(version)
    assert reference is not None
    assert reference.rows == int(small_features().ready.sum())
    assert (reference.names, reference.fingerprint) == (FEATURES.names, FEATURES.fingerprint)
    damage(registry, version, "drift.json")
    with pytest.raises(ArtifactError, match=r"drift\.json altered"):
        registry.drift(version)


def test_a_note_is_kept_and_changes_nothing(registry: Registry) -> None:
    active = registry.active()
    registry.note("compare", tuple(active.values()), "as good as before")
    assert registry.active() == active
    assert (registry.history().records[-1].event, registry.history().records[-1].reason) == (
        "compare",
        "as good as before",
    )
    with pytest.raises(ConfigError, match="a version in"):
        registry.note("compare", ("a_v20990101_000000",), "nobody")


def test_statuses_follow_what_happens_and_no_manifest_is_touched(registry: Registry, no_child: None) -> None:
    (a1, b1), (a2, b2) = old_and_new(registry)
    (c,) = register(registry, "c")
    before = {path: path.read_bytes() for path in registry.folder.rglob(MANIFEST)}
    assert [registry.status(v) for v in (a1, a2, c)] == [Status.RETIRED, Status.ACTIVE, Status.CANDIDATE]
    registry.shadow(c, "watch it")
    assert registry.status(c) is Status.SHADOW
    with pytest.raises(ConfigError, match="not in service"):
        registry.shadow(a2, "no")
    assert registry.rollback(FEATURES, "worse") == {"a": a1, "b": b1}
    assert [registry.status(v) for v in (a1, b2)] == [Status.ACTIVE, Status.RETIRED]
    with pytest.raises(ConfigError, match="earlier release"):
        registry.rollback(FEATURES, "again")
    assert registry.promote([a2, b2], FEATURES, "back") == {"a": a2, "b": b2}
    assert registry.quarantine(b2, "odd") == {"a": a1, "b": b1}
    assert [registry.status(v) for v in (a2, b2)] == [Status.RETIRED, Status.QUARANTINED]
    with pytest.raises(ArtifactError, match="odd"):
        registry.promote([a2, b2], FEATURES, "again")
    registry.restore(b2, "looked at")
    assert registry.promote([a2, b2], FEATURES, "again") == {"a": a2, "b": b2}
    assert {path: path.read_bytes() for path in registry.folder.rglob(MANIFEST)} == before
    assert [r.reason for r in registry.history().records if r.event == "rollback"] == ["worse"]


def test_what_was_tested_together_is_promoted_together(registry: Registry) -> None:
    (a1, _), active = old_and_new(registry)
    with pytest.raises(ConfigError, match="no b_v20250316_120001"):
        registry.promote([a1], FEATURES, "half")
    with pytest.raises(ConfigError, match="one version for each"):
        registry.promote([a1, active[0]], FEATURES, "both")
    with pytest.raises(ConfigError, match="one version for each"):
        registry.promote([], FEATURES, "none")
    assert tuple(registry.active().values()) == active


def test_other_features_are_refused_and_nobody_is_quarantined(registry: Registry) -> None:
    (a1, b1), (a2, _) = old_and_new(registry)
    for wrong in (
        Contract(fingerprint="another"),
        Contract(names=tuple(reversed(FEATURES.names))),
        Contract(names=("x", *FEATURES.names[1:])),
    ):
        for refuse in (
            lambda wrong=wrong: registry.load(a2, wrong),
            lambda wrong=wrong: registry.promote([a1, b1], wrong, "test"),
            lambda wrong=wrong: registry.rollback(wrong, "test"),
            lambda wrong=wrong: serve(registry, wrong),
        ):
            with pytest.raises(ContractError):
                refuse()
    assert registry.active()["a"] == a2
    assert registry.status(a2) is Status.ACTIVE


def test_a_damaged_active_version_leaves_and_the_one_before_serves(registry: Registry) -> None:
    (a1, b1), (a2, b2) = old_and_new(registry)
    damage(registry, a2)
    with pytest.raises(ArtifactError, match=rf"altered.*{a2} is quarantined, {a1} of a serves"):
        registry.load(a2, FEATURES)
    assert registry.active() == {"a": a1, "b": b1}
    assert registry.status(a2) is Status.QUARANTINED
    assert registry.status(b2) is Status.RETIRED
    registry.load(a1, FEATURES)
    with pytest.raises(ArtifactError, match="in quarantine since"):
        registry.load(a2, FEATURES)
    with pytest.raises(ArtifactError, match="altered"):
        registry.restore(a2, "hope")
    damage(registry, b1)
    with pytest.raises(ArtifactError, match="no version of b serves"):
        registry.verify(b1)
    assert registry.active() == {}


def test_a_manifest_forged_in_itself_is_not_the_one_that_was_registered(registry: Registry) -> None:
    (a1, _), (a2, _) = old_and_new(registry)
    path = registry.folder / a2 / MANIFEST
    manifest = json.loads(path.read_text())
    facts = {**manifest["facts"], "feature_fingerprint": "another"}
    path.unlink()
    seal_folder(path.parent, facts)
    with pytest.raises(ArtifactError, match="another, consistent in itself"):
        registry.load(a2, Contract(fingerprint="another"))
    assert registry.active()["a"] == a1


def test_a_version_that_cannot_be_quarantined_is_refused_all_the_same(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (a2, _) = old_and_new(registry)
    damage(registry, a2)

    def full(*_: object) -> None:
        raise InstallationError("room", found="a full disk", fix="make some")

    monkeypatch.setattr(registry_module, "commit", full)
    with pytest.raises(ArtifactError, match="refused but not quarantined \\(a full disk\\)"):
        registry.load(a2, FEATURES)


def test_a_damaged_log_refuses_everything(registry: Registry) -> None:
    _, (a2, _) = old_and_new(registry)
    with (registry.folder / LOG).open("r+b") as file:
        file.seek(40)
        file.write(b"#")
    for refuse in (
        registry.active,
        registry.versions,
        lambda: registry.load(a2, FEATURES),
        lambda: register(registry, "c"),
    ):
        with pytest.raises(ArtifactError):
            refuse()
    assert not list(registry.folder.glob("c_*"))


def test_unregistered_folders_are_not_there(registry: Registry) -> None:
    _, (a2, _) = old_and_new(registry)
    shutil.copytree(registry.folder / a2, registry.folder / "a_v20990101_000000")
    assert "a_v20990101_000000" not in registry.versions()
    with pytest.raises(ConfigError, match="a version in"):
        registry.load("a_v20990101_000000", FEATURES)


@pytest.fixture(scope="module")
def deadly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good member that served, and one that serves and can kill its loader."""
    registry = new_registry(tmp_path_factory.mktemp("deadly") / "models")
    registry.promote(register(registry, "a"), FEATURES, "fine")
    registry.promote(register(registry, "a", a=Deadly), FEATURES, "fine too")
    return registry.folder


@pytest.mark.parametrize(("how", "words"), [("11", "signal 11"), ("6", "signal 6"), ("raise", "ZeroDivisionError")])
def test_a_loader_that_dies_takes_only_its_child(
    deadly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, words: str
) -> None:
    """Registered where it loads; then the libraries change, and it kills the process that loads it."""
    shutil.copytree(deadly, tmp_path / "models")
    registry = new_registry(tmp_path / "models")
    first = {"a": registry.versions()[0]}
    monkeypatch.setenv("DEADLY", how)
    monkeypatch.setattr(registry_module, "_environment", lambda: "other libraries")
    with pytest.raises(ArtifactError, match=words):
        registry.load(registry.active()["a"], FEATURES)
    assert registry.active() == first


def test_a_slow_machine_is_not_a_bad_member(deadly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(deadly, tmp_path / "models")
    registry = new_registry(tmp_path / "models")
    before = registry.active()
    monkeypatch.setenv("DEADLY", "hang")
    monkeypatch.setattr(registry_module, "_environment", lambda: "other libraries")
    slow = Registry(registry.root, registry.clock, 3.0, TRUST)
    with pytest.raises(InstallationError, match=r"loaded within 3 s.*raise learning\.registry\.load_timeout_s"):
        slow.load(before["a"], FEATURES)
    assert registry.active() == before
    assert registry.status(before["a"]) is Status.ACTIVE
    monkeypatch.delenv("DEADLY")
    registry.load(before["a"], FEATURES)


def test_a_script_without_a_main_guard_is_no_bad_member(deadly: Path, tmp_path: Path) -> None:
    """The child runs the script again and fails before it has looked at the files."""
    shutil.copytree(deadly, tmp_path / "models")
    active = new_registry(tmp_path / "models").active()["a"]
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import sys
sys.path[:0] = {[str(Path(__file__).parents[1] / "fakes")]!r}
from pathlib import Path
from registry_fakes import new_registry
new_registry(Path({str(tmp_path / "models")!r})).verify({active!r})
"""
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert "InstallationError" in done.stderr
    assert "__name__ == '__main__'" in done.stderr
    assert new_registry(tmp_path / "models").status(active) is Status.ACTIVE


def test_a_class_that_is_not_allowed_quarantines_nothing(deadly: Path, tmp_path: Path) -> None:
    """Forgetting an option must not take a sound member out of service."""
    shutil.copytree(deadly, tmp_path / "models")
    registry = new_registry(tmp_path / "models")
    active = registry.active()["a"]
    forgetful = Registry(registry.root, registry.clock, 60.0, Trust())
    for ask in (lambda: forgetful.load(active, FEATURES), lambda: forgetful.verify(active)):
        with pytest.raises(ArtifactError, match=r"add 'trust=\[registry_fakes\.Deadly\]' to the command"):
            ask()
    assert registry.status(active) is Status.ACTIVE


def test_a_member_that_does_not_survive_its_own_files_is_not_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = new_registry(tmp_path / "models")
    monkeypatch.setenv("DEADLY", "11")
    with pytest.raises(ArtifactError, match="signal 11"):
        register(registry, "a", "b", b=Deadly)
    assert registry.versions() == ()
    assert not [path for path in registry.folder.iterdir() if path.is_dir()]


def test_registering_is_refused_for_wrong_names_twice_and_for_other_bytes(registry: Registry, no_child: None) -> None:
    one = candidate("a", centroids(0))
    with pytest.raises(ConfigError, match="different members"):
        registry.register([one, one], ensemble=None, source={})
    with pytest.raises(ConfigError, match="members b"):
        registry.register([one], ensemble=ensemble(["b"]), source={})
    with pytest.raises(ConfigError, match="a version"):
        registry.register([candidate("../a", centroids(0))], ensemble=None, source={})
    registry.register([one], ensemble=None, source={})
    with pytest.raises(ArtifactError, match="exists already"):
        registry.register([one], ensemble=None, source={})
    other = candidate("z", centroids(0))
    other = type(other)("z", other.model, other.golden, sha256="0" * 64)
    with pytest.raises(ArtifactError, match="that were tested"):
        registry.register([other], ensemble=None, source={})


# What serves.


@pytest.fixture(scope="module")
def bars(trending_bars: Callable[..., Bars]) -> Bars:
    return trending_bars(3, 160)


def test_what_is_active_serves(registry: Registry, bars: Bars) -> None:
    serving = serve(registry, SmallFeatures())
    assert serving.release == registry.active()
    features = SmallFeatures().transform(bars)
    for member, seed in zip(serving.signal.members, (10, 11), strict=True):
        said = predict_rows(member.name, member.model, features, 0, bars.n_bars)
        np.testing.assert_array_equal(said, centroids(seed).predict_proba(features))


def test_nothing_active_is_nothing_to_serve(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="an active release"):
        serve(new_registry(tmp_path), SmallFeatures())


def test_what_served_before_a_damaged_release_serves_again(registry: Registry) -> None:
    (a1, b1), (_, b2) = old_and_new(registry)
    damage(registry, b2)
    serving = serve(registry, SmallFeatures())
    assert serving.release == {"a": a1, "b": b1}
    assert b2 in serving.refusal


@pytest.mark.parametrize("file", [POINTER, LOG])
def test_a_damaged_registry_serves_nothing(registry: Registry, file: str) -> None:
    good = (registry.folder / file).read_bytes()
    (registry.folder / file).write_bytes(good[: len(good) // 2])
    with pytest.raises(ArtifactError, match="as it was written"):
        serve(registry, SmallFeatures())


def test_a_release_of_versions_that_were_not_tested_together_is_refused(registry: Registry) -> None:
    """A store that cannot quarantine, as on a disk that is read only."""
    facts = {version: registry.describe(version) for version in registry.versions()}
    models = {version: registry.load(version, FEATURES) for version in registry.versions()}
    (a1, b1), (a2, b2) = old_and_new(registry)
    assert serve(MemoryStore(models, facts, {"a": a1, "b": b1}), SmallFeatures()).refusal == ""
    with pytest.raises(ArtifactError, match="tested together"):
        serve(MemoryStore(models, facts, {"a": a1, "b": b2}), SmallFeatures())
    with pytest.raises(ArtifactError, match="a broken one"):
        serve(MemoryStore(models, facts, {"a": a2, "b": b2}, broken={a2}), SmallFeatures())
