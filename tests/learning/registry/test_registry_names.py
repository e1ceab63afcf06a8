from __future__ import annotations

from pathlib import Path

import pytest
from registry_fakes import NOON_MS, Contract, new_registry

from quantlab.core.errors import ArtifactError, ConfigError, QuantlabError
from quantlab.learning.registry.names import check_version, is_version, split_version, version_folder, version_name

TRICKS = [
    "", ".", "..", "../x_v20250316_120000", "/etc_v20250316_120000", "a/b_v20250316_120000", "x_v20250316_120000/",
    "x_v20250316_120000/..", "x_v20250316_120000\n", "x_v20250316_120000\0", "x\\y_v20250316_120000",
    ".partial_v20250316_120000", "-x_v20250316_120000", "x_v2025031_120000", "x_v20250316-120000", "x_v20250316_1200000",
    "x y_v20250316_120000", "é_v20250316_120000", "x_v２０２５０３１６_120000", "x" * 48 + "_v20250316_120000",
    "~_v20250316_120000", "$HOME_v20250316_120000", "_v20250316_120000",
]  # fmt: skip


@pytest.mark.parametrize("name", TRICKS)
def test_nothing_but_a_plain_word_is_a_version(name: str, tmp_path: Path) -> None:
    assert not is_version(name)
    registry = new_registry(tmp_path / "models")
    for entry in (check_version, split_version, lambda n: version_folder(tmp_path, n)):
        with pytest.raises(ConfigError, match="a version"):
            entry(name)
    for refuse in (
        registry.status,
        registry.describe,
        registry.verify,
        lambda n: registry.load(n, Contract()),
        lambda n: registry.promote([n], Contract(), "test"),
        lambda n: registry.quarantine(n, "test"),
        lambda n: registry.shadow(n, "test"),
        lambda n: registry.restore(n, "test"),
    ):
        with pytest.raises(QuantlabError):
            refuse(name)
    assert list(tmp_path.rglob("*")) == []


def test_the_longest_name_and_its_parts() -> None:
    name = version_name("x" * 47, NOON_MS)
    assert len(name) == 64
    assert split_version(name) == ("x" * 47, "20250316_120000")
    assert split_version("a_v1_v20250316_120000") == ("a_v1", "20250316_120000")
    with pytest.raises(ConfigError, match="at most 64"):
        version_name("x" * 48, NOON_MS)


def test_links_lead_nowhere(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "models"
    for folder in (outside, root, root / "real_v20250316_120000"):
        folder.mkdir()
    (outside / "secret").write_text("x")
    (root / "link_v20250316_120000").symlink_to(outside)
    (root / "loop_v20250316_120000").symlink_to(root / "loop_v20250316_120000")
    assert version_folder(root, "real_v20250316_120000").is_dir()
    (root / "real_v20250316_120000" / "inner").symlink_to(outside / "secret")
    for name in ("link", "loop", "real"):
        with pytest.raises(ArtifactError, match="symbolic link"):
            version_folder(root, f"{name}_v20250316_120000")
    with pytest.raises(ArtifactError, match="found none"):
        version_folder(root, "absent_v20250316_120000")


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "a_v20250316_120000").mkdir(parents=True)
    (tmp_path / "models").symlink_to(tmp_path / "disk")
    assert version_folder(tmp_path / "models", "a_v20250316_120000").is_dir()
