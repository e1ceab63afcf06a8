"""From a finished run to a bundle and back: the very same strategy, or a refusal."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from quantlab.core.clock import FakeClock
from quantlab.core.errors import ArtifactError, ConfigError, ContractError, InstallationError, QuantlabError
from quantlab.core.progress import SilentProgress
from quantlab.core.sealed_json import read_sealed, write_sealed
from quantlab.core.trust import Trust
from quantlab.core.types import Signal
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.output.run_folder import MANIFEST_FORMAT
from quantlab.jobs.promotion import bundle as bundles
from quantlab.jobs.promotion import bundle_writer as promoting
from quantlab.jobs.promotion import promote
from quantlab.jobs.promotion.bundle import Bundle, load_bundle
from quantlab.jobs.promotion.bundle_writer import bundle_name, write_bundle
from quantlab.jobs.promotion.finished_run import read_run
from quantlab.jobs.promotion.registration import register_run
from quantlab.jobs.research import backtest as backtest_job
from quantlab.jobs.research.pipeline import Backtest, backtest, setup
from quantlab.jobs.research.results import load_history
from quantlab.learning.artifacts.sealed_folder import MANIFEST, seal_folder
from quantlab.learning.registry import inspection as registry_module

TREES = (
    "experiment=ensemble_v2", "debug=tiny", "learning.tuning=null", "workers=1",
    "~learning.members.nhits", "~learning.members.patchtst",
    "learning.members.xgboost.max_rounds=10", "learning.members.lightgbm.max_rounds=10",
)  # fmt: skip
CLOCK = FakeClock(1_742_126_400_000)


def at(folder: Path) -> tuple[str, ...]:
    """Every folder of a job below one."""
    return (f"runs_dir={folder / 'runs'}", f"cache_dir={folder / '.cache'}", f"registry_root={folder / 'models'}")


def finished(folder: Path, *overrides: str) -> Path:
    """The folder of a run that was just made."""
    before = set(folder.glob("runs/*/*"))
    backtest_job.run(compose("job=backtest", *overrides, *at(folder)))
    (made,) = set(folder.glob("runs/*/*")) - before
    return made


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workshop")


@pytest.fixture(scope="module")
def learned(workshop: Path) -> Path:
    """A finished run of two small trees."""
    return finished(workshop, *TREES)


@pytest.fixture(scope="module")
def plain(workshop: Path) -> Path:
    """A finished run without members."""
    return finished(workshop, "experiment=baseline", "debug=tiny")


@pytest.fixture(scope="module")
def stored(learned: Path, workshop: Path) -> Path:
    """The learned run's bundle; tests put back what they damage."""
    return write_bundle(
        read_run(learned, "run"), workshop / "models" / "bundles" / "good", CLOCK, 120.0, Trust()
    ).folder


@contextmanager
def damaged(folder: Path) -> Iterator[Path]:
    aside = folder.with_name(".aside")
    shutil.copytree(folder, aside)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        aside.rename(folder)


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def reseal(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit the facts of a bundle and make every hash fit."""
    facts = json.loads((folder / MANIFEST).read_text())["facts"]
    change(facts)
    (folder / MANIFEST).unlink()
    seal_folder(folder, facts)


def says_what_the_run_said(stored: Path, *overrides: str) -> Bundle:
    """Features bit for bit, probabilities to 1e-6, over the last test window; and the same strategy."""
    cfg = compose("job=backtest", *overrides)
    parts = setup(cfg)
    result: Backtest = backtest(parts, load_history(parts, SilentProgress()), SilentProgress())
    bundle = load_bundle(stored, Trust())
    last = slice(result.study.last_test, result.study.last_row)
    assert last.stop - last.start > 500
    assert bundle.strategy.fingerprint == result.strategy.fingerprint
    np.testing.assert_array_equal(
        bundle.features.transform(result.history).values, build(cfg.features).transform(result.history).values
    )
    said = bundle.strategy.signal.signal(result.history)
    for name in ("side", "atr", "live_members"):
        np.testing.assert_array_equal(getattr(said, name)[last], getattr(result.study.signal, name)[last])
    np.testing.assert_allclose(said.proba[last], result.study.signal.proba[last], rtol=0, atol=1e-6)
    assert np.isfinite(said.proba[last]).any()
    lived = parts.engine.run(result.bars, result.signal, bundle.strategy)
    np.testing.assert_array_equal(lived.equity, result.lived.equity)
    return bundle


def test_a_loaded_bundle_says_what_the_run_said(stored: Path, workshop: Path) -> None:
    says_what_the_run_said(stored, *TREES, *at(workshop))


@pytest.mark.slow
def test_all_four_members_as_tuning_chose_them_are_promoted(tmp_path: Path) -> None:
    four = ("experiment=ensemble_v2", "debug=tiny", "learning.net_steps=30", "workers=1")
    run = read_run(finished(tmp_path, *four), "run")
    made = write_bundle(run, tmp_path / "models" / "bundles" / "four", CLOCK, 300.0, Trust())
    bundle = says_what_the_run_said(made.folder, *four, *at(tmp_path))
    assert [member.name for member in bundle.strategy.signal.members] == ["lightgbm", "nhits", "patchtst", "xgboost"]
    assert set(run.manifest["tuned"]) == {"gates 2", "lightgbm", "nhits", "patchtst", "xgboost"}
    for name, value in run.manifest["tuned"]["gates 2"].items():
        assert getattr(bundle.strategy.signal.ensemble.rules, name.removeprefix("ensemble.")) == value


def test_a_bundle_needs_neither_run_nor_cache_nor_registry(
    learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace = tmp_path / "workplace"
    shutil.copytree(learned, workplace / "runs" / "x" / learned.name)
    monkeypatch.setattr(promoting, "prove", lambda *_: None)
    made = write_bundle(
        read_run(workplace / "runs" / "x" / learned.name, "run"), tmp_path / "carried", CLOCK, 120.0, Trust()
    )
    shutil.rmtree(workplace)
    (tmp_path / "carried").rename(tmp_path / "elsewhere")
    again = load_bundle(tmp_path / "elsewhere", Trust())
    assert again.strategy.fingerprint == made.strategy.fingerprint
    assert again.drift is not None
    assert again.drift.fingerprint == again.features.fingerprint
    monitor = build(again.config.drift).monitor(again.drift)
    assert "unknown" in monitor.report().findings()[0]
    assert again.manifest["market"]["interval_ms"] == again.config.features.interval_ms
    assert build(again.config.trading.instrument) is not None
    assert again.manifest["verdict"] == "not enough data"
    text = (tmp_path / "elsewhere" / "config.json").read_text()
    assert str(tmp_path) not in text
    assert "cache_dir" not in text


def test_a_run_without_models_is_promoted_too(plain: Path, workshop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    promote.run(compose("job=promote", f"run={plain}", "job.name=plain", *at(workshop)))
    assert "MovingAverageSignal" in capsys.readouterr().out
    bundle = load_bundle(workshop / "models" / "bundles" / "plain", Trust())
    assert bundle.drift is None
    manifest = json.loads((plain / "manifest.json").read_text())
    assert bundle.strategy.fingerprint == manifest["strategy_fingerprint"]
    assert isinstance(
        bundle.strategy.signal.signal(load_history(setup(compose("debug=tiny")), SilentProgress())), Signal
    )


def test_the_members_of_a_run_are_registered_without_its_cache(
    learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "prove", lambda *_: None)
    registry = build(compose(f"registry_root={tmp_path / 'models'}").learning.registry)
    versions = register_run(registry, learned)
    facts = registry.describe(versions[0])
    assert facts["feature_definitions"]["bar interval"] == "300000 ms"
    reference = registry.drift(versions[0])
    assert reference is not None
    assert reference.rows >= facts["parts"]["fit"]["rows"]


def test_a_truncated_file_is_refused(stored: Path) -> None:
    for file in files_of(stored):
        for percent in (0, 10, 50, 90):
            with damaged(stored) as folder:
                data = (folder / file).read_bytes()
                (folder / file).write_bytes(data[: len(data) * percent // 100])
                with pytest.raises(ArtifactError):
                    load_bundle(folder, Trust())


def flip_bits(folder: Path, flips: int) -> None:
    files = files_of(folder)
    for i in range(flips):
        rng = np.random.default_rng(i)
        path = folder / files[i % len(files)]
        whole = path.read_bytes()
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        with pytest.raises(ArtifactError):
            load_bundle(folder, Trust())
        path.write_bytes(whole)
    load_bundle(folder, Trust())


def test_a_flipped_bit_is_refused(stored: Path) -> None:
    flip_bits(stored, 40)


@pytest.mark.slow
def test_two_hundred_flipped_bits_are_refused(stored: Path) -> None:
    flip_bits(stored, 200)


def test_foreign_missing_and_linked_files_are_refused(stored: Path, tmp_path: Path) -> None:
    for file in files_of(stored):
        for content in (b"\x80\x04\x95pickle", b"PK\x03\x04", b"null", None):
            with damaged(stored) as folder:
                (folder / file).unlink()
                if content is not None:
                    (folder / file).write_bytes(content)
                with pytest.raises(ArtifactError):
                    load_bundle(folder, Trust())
    with damaged(stored) as folder:
        (folder / "extra.txt").write_text("x")
        with pytest.raises(ArtifactError, match=r"extra\.txt not in the manifest"):
            load_bundle(folder, Trust())
    with damaged(stored) as folder:
        shutil.move(folder / "config.json", tmp_path / "config.json")
        (folder / "config.json").symlink_to(tmp_path / "config.json")
        with pytest.raises(ArtifactError, match="symbolic link"):
            load_bundle(folder, Trust())
    with pytest.raises(ArtifactError, match="a strategy bundle"):
        load_bundle(stored / "members" / "xgboost", Trust())
    for nothing in (tmp_path / "nothing", tmp_path / "config.json"):
        with pytest.raises(ArtifactError, match="a folder"):
            load_bundle(nothing, Trust())


def test_members_of_another_bundle_are_refused_even_under_a_new_seal(
    stored: Path, workshop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promoting, "prove", lambda *_: None)
    other = write_bundle(
        read_run(finished(workshop, *TREES, "seed=8"), "run"),
        workshop / "models" / "bundles" / "other",
        CLOCK,
        120.0,
        Trust(),
    )
    for file in files_of(stored):
        if (other.folder / file).read_bytes() != (stored / file).read_bytes():
            with damaged(stored) as folder:
                shutil.copyfile(other.folder / file, folder / file)
                with pytest.raises(ArtifactError):
                    load_bundle(folder, Trust())
    with damaged(stored) as folder:
        shutil.rmtree(folder / "members")
        shutil.copytree(other.folder / "members", folder / "members")
        reseal(folder, lambda facts: None)
        with pytest.raises(ArtifactError, match="the strategy"):
            load_bundle(folder, Trust())
    with damaged(stored) as folder:
        (folder / "members" / "lightgbm").rename(folder / "members" / "x")
        (folder / "members" / "xgboost").rename(folder / "members" / "lightgbm")
        (folder / "members" / "x").rename(folder / "members" / "xgboost")
        reseal(folder, lambda facts: None)
        with pytest.raises(ArtifactError, match="the member lightgbm"):
            load_bundle(folder, Trust())


def test_what_was_not_promoted_is_refused_whatever_the_hashes_say(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_config(key: str, value: object) -> None:
        config = OmegaConf.create(json.loads((stored / "config.json").read_text()))
        OmegaConf.update(config, key, value)
        (stored / "config.json").write_text(json.dumps(OmegaConf.to_container(config)))
        reseal(stored, lambda facts: None)

    for key, value, kind, words in (
        ("strategy.policy.horizon", 13, ArtifactError, "the strategy"),
        ("strategy.limits.max_weight", 0.5, ArtifactError, "the strategy"),
        ("strategy.costs.slippage_bps", 0.0, ArtifactError, "the strategy"),
        ("features.interval_ms", 60_000, ContractError, "bar interval 300000 ms against 60000 ms"),
        ("strategy.policy._target_", "quantlab.nowhere.Policy", ArtifactError, r"trust=\[quantlab\.nowhere\.Policy\]"),
    ):
        with damaged(stored):
            with_config(key, value)
            with pytest.raises(kind, match=words):
                load_bundle(stored, Trust())
    for change, words in (
        (lambda facts: facts["rooms"].update(trading="x"), "other sources in trading"),
        (lambda facts: facts["packages"].update(numba="0.1"), "numba 0.1"),
        (lambda facts: facts["models"]["ensemble"]["names"].__setitem__(0, "../lightgbm"), "a member's name"),
        (lambda facts: facts["models"]["ensemble"].update(temperature=2.0), "the strategy"),
    ):
        with damaged(stored):
            reseal(stored, change)
            with pytest.raises(QuantlabError, match=words):
                load_bundle(stored, Trust())
    monkeypatch.setattr(bundles, "code_hashes", lambda: {"features": "other"})
    with pytest.raises(ArtifactError, match="features, learning, trading"):
        load_bundle(stored, Trust())


def test_promoting_refuses_what_is_not_the_run(
    learned: Path, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="which is there"):
        write_bundle(read_run(learned, "run"), stored, CLOCK, 120.0, Trust())
    with pytest.raises(ConfigError, match=r"no manifest\.json"):
        read_run(tmp_path, "run")
    with pytest.raises(ConfigError, match="Add run="):
        promote.run(compose("job=promote", *at(tmp_path)))
    for name in ("../out", "", ".hidden", "a/b", "x" * 65):
        with pytest.raises(ConfigError, match="bundle's name"):
            bundle_name(name, read_run(learned, "run"))
    copy = tmp_path / learned.name
    for file in (*(f for f in files_of(learned) if f.startswith("members/")), "config.yaml", "metrics.json"):
        shutil.copytree(learned, copy)
        data = bytearray((copy / file).read_bytes())
        data[len(data) // 2] ^= 1
        (copy / file).write_bytes(data)
        with pytest.raises(ArtifactError, match="altered"):
            read_run(copy, "run")
        (copy / file).unlink()
        with pytest.raises(ArtifactError):
            read_run(copy, "run")
        shutil.rmtree(copy)
    monkeypatch.setattr(bundles, "code_hashes", lambda: {"features": "other"})
    with pytest.raises(ArtifactError, match="other sources"):
        write_bundle(read_run(learned, "run"), tmp_path / "new", CLOCK, 120.0, Trust())
    assert not (tmp_path / "new").exists()


def test_only_members_that_the_run_names_are_taken(learned: Path, tmp_path: Path) -> None:
    """By the bundle and by the registry, whatever the hashes of single files say."""
    copy = tmp_path / learned.name
    shutil.copytree(learned, copy)
    run = read_run(copy, "run")
    manifest = read_sealed(copy / MANIFEST, MANIFEST_FORMAT, "")
    manifest["models"]["members"]["xgboost"]["sha256"] = "0" * 64
    write_sealed(copy / MANIFEST, manifest, MANIFEST_FORMAT)
    with pytest.raises(ArtifactError, match="xgboost with sha256 0000"):
        write_bundle(read_run(copy, "run"), tmp_path / "bundle", CLOCK, 120.0, Trust())
    registry = build(compose(f"registry_root={tmp_path / 'models'}").learning.registry)
    with pytest.raises(ArtifactError, match="xgboost with sha256 0000"):
        register_run(registry, copy)
    path = copy / "members" / "xgboost" / "drift.json"  # altered after the run was read
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ArtifactError, match=r"drift\.json of .* as it was written"):
        write_bundle(run, tmp_path / "bundle", CLOCK, 120.0, Trust())
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("owner", ["os.fsync", "pathlib.Path.rename", "shutil.copytree", "pathlib.Path.mkdir"])
def test_a_full_disk_leaves_no_bundle(
    learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    """The n-th call fails, for n = 1 and on until all go well."""
    monkeypatch.setattr(promoting, "prove", lambda *_: None)
    run, refusals = read_run(learned, "run"), []
    target: Any = {"os": os, "pathlib.Path": Path, "shutil": shutil}[owner.rpartition(".")[0]]
    name = owner.rpartition(".")[2]
    for n in range(1, 80):
        real, calls = getattr(target, name), [0]

        def fail(*arguments: Any, _real: Any = real, _calls: list[int] = calls, _n: int = n, **options: Any) -> Any:
            _calls[0] += 1
            if _calls[0] == _n:
                raise OSError(errno.ENOSPC, "No space left on device")
            return _real(*arguments, **options)

        final = tmp_path / "bundles" / f"b{n}"
        with monkeypatch.context() as patch:
            patch.setattr(target, name, fail)
            try:
                write_bundle(run, final, CLOCK, 120.0, Trust())
            except InstallationError as error:
                refusals.append(str(error))
        if final.exists():
            load_bundle(final, Trust())
        assert not list(tmp_path.glob("bundles/.partial-*"))
        if calls[0] < n:
            break
    assert final.exists()
    assert refusals
    assert all("No space left" in refusal for refusal in refusals)


KILLED = """
import os, signal, sys
from pathlib import Path
from quantlab.core.clock import FakeClock
from quantlab.core.trust import Trust
from quantlab.jobs.promotion import bundle_writer as promoting
from quantlab.jobs.promotion.finished_run import read_run
promoting.prove = lambda *_: None
EVENTS = ("open", "os.rename", "os.mkdir", "os.chmod", "os.remove", "shutil.copyfile", "shutil.copytree")
run = read_run(Path(sys.argv[1]), "run")

def work(final, kill_at):
    seen = 0
    def hook(event, _):
        nonlocal seen
        if event in EVENTS:
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    promoting.write_bundle(run, Path(final), FakeClock(0), 60.0, Trust())
    Path(final).with_name("total").write_text(str(seen))
    os._exit(0)

def child(final, kill_at):
    pid = os.fork()
    if pid == 0:
        work(final, kill_at)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

root, points = Path(sys.argv[2]), int(sys.argv[3])
assert child(root / "whole", 0) == 0
total = int((root / "total").read_text())
for i in range(points):
    print(i, child(root / f"b{i}", 1 + i * total // points))
"""


def kill_while_promoting(learned: Path, tmp_path: Path, points: int) -> None:
    """Real ``kill -9``: a bundle is whole or not there, and the next promotion clears what was left."""
    (tmp_path / "script.py").write_text(KILLED)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(learned), str(tmp_path / "bundles"), str(points)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    codes = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert codes == [-int(signal.SIGKILL)] * points
    there = [(tmp_path / "bundles" / f"b{i}") for i in range(points) if (tmp_path / "bundles" / f"b{i}").exists()]
    assert len(there) < points / 2
    for folder in (*there, tmp_path / "bundles" / "whole"):
        load_bundle(folder, Trust())
    write_bundle(read_run(learned, "run"), tmp_path / "bundles" / "after", CLOCK, 120.0, Trust())
    assert not list((tmp_path / "bundles").glob(".partial-*"))


def test_killed_at_five_points_while_promoting(learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promoting, "prove", lambda *_: None)
    kill_while_promoting(learned, tmp_path, 5)


@pytest.mark.slow
def test_killed_at_fifty_points_while_promoting(learned: Path, tmp_path: Path) -> None:
    kill_while_promoting(learned, tmp_path, 50)


def test_a_bundle_is_frozen(stored: Path) -> None:
    bundle: Bundle = load_bundle(stored, Trust())
    with pytest.raises(dataclasses.FrozenInstanceError):
        bundle.strategy = None  # type: ignore[misc]
    with pytest.raises(Exception, match="read-only"):
        bundle.config.cash = 1.0


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("quality.json", "a check of data (job=data)"),
        ("warmup.json", "job=warmup"),
        ("audit.json", "job=audit"),
        ("sweep.parquet", "job=sweep"),
        ("journal.db", "job=paper"),
        ("20260101_000000-ab/manifest.json", "a folder of runs, the last of them 20260101_000000-ab"),
    ],
)
def test_a_folder_that_is_no_run_is_told_by_what_it_is(tmp_path: Path, file: str, words: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("x")
    with pytest.raises(ConfigError, match="run=latest") as caught:
        read_run(tmp_path, "run")
    assert words in caught.value.found
