"""Artifacts that want to run code when they are loaded: every one is refused before anything of theirs happens.

The files are consistent in themselves: whoever made them made every hash fit.
"""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from quantlab.core.clock import FakeClock
from quantlab.core.errors import ArtifactError, ConfigError, QuantlabError
from quantlab.core.files import sha256_file, write_json
from quantlab.core.progress import SilentProgress
from quantlab.core.sealed_json import read_sealed, write_sealed
from quantlab.core.trust import Trust
from quantlab.jobs.config.composition import compose
from quantlab.jobs.config.known_classes import require_known_classes
from quantlab.jobs.output.run_folder import MANIFEST_FORMAT
from quantlab.jobs.promotion import promote
from quantlab.jobs.promotion.active_bundle import make_active
from quantlab.jobs.promotion.bundle import CONFIG, load_bundle
from quantlab.jobs.promotion.bundle_writer import SECTIONS, configuration_of
from quantlab.jobs.promotion.finished_run import read_run
from quantlab.jobs.promotion.registration import register_run
from quantlab.jobs.research import backtest
from quantlab.jobs.research.pipeline import setup
from quantlab.jobs.research.results import load_history
from quantlab.jobs.session import paper
from quantlab.jobs.session.session_strategy import strategy_of
from quantlab.learning.artifacts.sealed_folder import MANIFEST, files_digest, seal_folder, verify_folder
from quantlab.learning.ensemble.members import member_class
from quantlab.learning.registry.bundle_members import StoredMember

SMALL = ("experiment=baseline", "debug=tiny", "evaluation/stress@stress=none")
CLOCK = FakeClock(1_742_126_400_000)
PAYLOAD = "from pathlib import Path\nPath({marker!r}).write_text('ran')\nclass Policy:\n    load = classmethod(lambda *_: None)\n"

#: What a node of a foreign configuration may try to name, with arguments that would do harm.
HOSTILE: dict[str, dict[str, Any]] = {
    "payload beside the bundle": {"_target_": "payload.Policy"},
    "submodule of the payload": {"_target_": "payload.inner.Policy"},
    "pickle of pandas": {"_target_": "pandas.read_pickle", "filepath_or_buffer": "x.pkl"},
    "query of pandas": {"_target_": "pandas.eval", "expr": "1"},
    "joblib": {"_target_": "joblib.load", "filename": "x.joblib"},
    "numpy": {"_target_": "numpy.load", "file": "x.npy", "allow_pickle": True},
    "numpy's writer": {"_target_": "numpy.save", "file": "x.npy", "arr": [1]},
    "torch": {"_target_": "torch.load", "f": "x.pt", "weights_only": False},
    "pickle": {"_target_": "pickle.loads", "_args_": ["x"]},
    "yaml": {"_target_": "yaml.unsafe_load", "stream": "x"},
    "shell": {"_target_": "os.system", "command": "true"},
    "process": {"_target_": "subprocess.Popen", "args": ["true"]},
    "run": {"_target_": "subprocess.check_output", "args": ["true"]},
    "eval": {"_target_": "builtins.eval", "_args_": ["1"]},
    "exec": {"_target_": "builtins.exec", "_args_": ["1"]},
    "import": {"_target_": "importlib.import_module", "name": "payload"},
    "runpy": {"_target_": "runpy.run_path", "path_name": "payload.py"},
    "delete": {"_target_": "shutil.rmtree", "path": "x"},
    "remove": {"_target_": "os.remove", "path": "x"},
    "environment": {"_target_": "os.putenv", "_args_": ["A", "B"]},
    "native code": {"_target_": "ctypes.CDLL", "name": "x.so"},
    "network": {"_target_": "urllib.request.urlopen", "url": "http://127.0.0.1:9"},
    "partial": {"_target_": "functools.partial", "_args_": ["os.system", "true"]},
    "hydra's call": {"_target_": "hydra.utils.call", "config": {"_target_": "os.system", "command": "true"}},
    "hydra's object": {"_target_": "hydra.utils.get_object", "path": "os.system"},
    "hydra's method": {"_target_": "hydra.utils.get_method", "path": "os.system"},
    "logging": {"_target_": "logging.config.fileConfig", "fname": "x"},
    "alias of the shell": {"_target_": "logging.os.system", "command": "true"},
    "quantlab's file writer": {"_target_": "quantlab.core.files.write_text", "path": "x", "text": "x"},
    "quantlab's json writer": {"_target_": "quantlab.core.files.write_json", "path": "x", "value": 1},
    "quantlab's builder": {"_target_": "quantlab.jobs.config.composition.build", "node": {}},
    "quantlab's import": {"_target_": "quantlab.trading.strategy.strategy.np.load", "file": "x"},
    "quantlab's job": {"_target_": "quantlab.jobs.promotion.promote.run", "cfg": {}},
    "a class of another place": {"_target_": "quantlab.learning.registry.store.Registry", "root": "x"},
    "a source of data": {"_target_": "quantlab.data.parquet.source.ParquetSource", "root": "/"},
    "no text": {"_target_": 7},
    "no name": {"_target_": "quantlab trading"},
    "a relative name": {"_target_": "..payload.Policy"},
    "arguments by place": {"_target_": "quantlab.trading.strategy.policies.BuyAndHold", "_args_": [1]},
    "a lookup": {"_target_": "quantlab.trading.strategy.policies.BuyAndHold", "name": "${oc.env:HOME}"},
}
#: Where such a node may stand in a bundle's configuration.
PLACES = (
    "strategy", "strategy.policy", "strategy.sizer", "strategy.limits", "strategy.costs", "signal", "signal.features",
    "features", "features.extra.0", "drift", "trading.instrument", "learning.labels", "learning.splits",
    "learning.members.xgboost", "learning.ensemble", "barriers", "barriers.horizon", "cash", "anything.new",
)  # fmt: skip


def at(folder: Path) -> tuple[str, ...]:
    return (f"runs_dir={folder / 'runs'}", f"cache_dir={folder / '.cache'}", f"registry_root={folder / 'models'}")


def put(config: dict[str, Any], place: str, node: Any) -> dict[str, Any]:
    """A copy of `config` with `node` at `place`."""
    changed = copy.deepcopy(config)
    *path, last = place.split(".")
    inner: Any = changed
    for key in path:
        inner = inner.setdefault(key, {})
    if isinstance(inner, list):
        inner.append(node)
    else:
        inner[last] = node
    return changed


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run and the bundle that was made of it."""
    folder = tmp_path_factory.mktemp("shop")
    backtest.run(compose("job=backtest", *SMALL, *at(folder)))
    (run,) = (folder / "runs").glob("*/*")
    promote.run(compose("job=promote", f"run={run}", "job.name=good", *at(folder)))
    return folder


@pytest.fixture
def payload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that would be there if foreign code had run; its module lies on the path, as when one stands in its folder."""
    folder, marker = tmp_path / "foreign", tmp_path / "ran"
    folder.mkdir()
    (folder / "payload.py").write_text(PAYLOAD.format(marker=str(marker)))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "payload", raising=False)
    return marker


def hostile_bundle(shop: Path, folder: Path, node: Any, place: str = "strategy.policy") -> Path:
    """The good bundle with another node, every hash of it made to fit."""
    shutil.copytree(shop / "models" / "bundles" / "good", folder, dirs_exist_ok=True)
    facts = verify_folder(shop / "models" / "bundles" / "good")
    write_json(folder / CONFIG, put(json.loads((folder / CONFIG).read_bytes()), place, node))
    (folder / MANIFEST).unlink()
    seal_folder(folder, facts)
    return folder


def hostile_run(shop: Path, folder: Path, node: Any = None) -> Path:
    """The finished run, with another policy if there is one, every hash of it made to fit."""
    (run,) = (shop / "runs").glob("*/*")
    shutil.copytree(run, folder)
    manifest = read_sealed(folder / MANIFEST, MANIFEST_FORMAT, "")
    if node is not None:
        config = yaml.safe_load((folder / "config.yaml").read_text())
        (folder / "config.yaml").write_text(yaml.safe_dump(put(config, "trading.policy", node)))
        manifest["strategy"]["policy"] = node
    manifest["files_sha256"]["config.yaml"] = sha256_file(folder / "config.yaml")
    write_sealed(folder / MANIFEST, manifest, MANIFEST_FORMAT)
    return folder


def test_the_good_ones_load(shop: Path) -> None:
    bundle = load_bundle(shop / "models" / "bundles" / "good", Trust())
    require_known_classes(json.loads((bundle.folder / CONFIG).read_bytes()), Trust(), bundle.folder)


def test_no_place_takes_them(shop: Path, tmp_path: Path, payload: Path) -> None:
    """Every target at every place, before anything is constructed."""
    assert len(HOSTILE) >= 30
    good = json.loads((shop / "models" / "bundles" / "good" / CONFIG).read_bytes())
    before = set(sys.modules)
    for place in PLACES:
        for node in HOSTILE.values():
            with pytest.raises(ArtifactError):
                require_known_classes(put(good, place, node), Trust(), tmp_path)
    assert not payload.exists()
    assert not {"payload", "joblib.pool", "runpy"} & (set(sys.modules) - before)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bundle_runs_none_of_them(shop: Path, tmp_path: Path, payload: Path, name: str) -> None:
    folder = hostile_bundle(shop, payload.parent / "foreign", HOSTILE[name])
    with pytest.raises(ArtifactError):
        load_bundle(folder, Trust())
    assert not payload.exists()


@pytest.mark.parametrize(
    "name", ["payload beside the bundle", "pickle of pandas", "quantlab's file writer", "a lookup"]
)
def test_no_command_runs_them(shop: Path, tmp_path: Path, payload: Path, name: str) -> None:
    """``promote run=``, ``promote bundle=``, ``paper run=``, ``paper bundle=``, and registering a run."""
    run = hostile_run(shop, tmp_path / "run", HOSTILE[name])
    bundle = hostile_bundle(shop, tmp_path / "bundles" / "foreign", HOSTILE[name])
    session = (*SMALL, f"job.folder={tmp_path / 'session'}", "job.bars=3")
    for given in (
        ("job=promote", f"run={run}", "job.name=taken"),
        ("job=promote", f"bundle={bundle}"),
        ("job=paper", f"run={run}", *session),
        ("job=paper", f"bundle={bundle}", *session),
    ):
        with pytest.raises(ArtifactError):
            (promote if given[0] == "job=promote" else paper).run(compose(*given, *at(tmp_path)))
    assert not payload.exists()
    assert not (tmp_path / "models" / "bundles" / "taken").exists()
    assert not (tmp_path / "bundles" / "promoted.json").exists()


def test_a_followed_pointer_runs_nothing(shop: Path, tmp_path: Path, payload: Path) -> None:
    """A session goes on with what it has when the pointer moves to a foreign bundle."""
    bundles = tmp_path / "bundles"
    shutil.copytree(shop / "models" / "bundles" / "good", bundles / "good")
    make_active(bundles / "good", CLOCK, "first")
    given = (
        "job=paper",
        *SMALL,
        *at(tmp_path),
        f"bundle={bundles}",
        f"job.folder={tmp_path / 'session'}",
        "job.bars=3",
    )
    paper.run(compose(*given))
    make_active(hostile_bundle(shop, bundles / "foreign", HOSTILE["payload beside the bundle"]), CLOCK, "follow me")
    paper.run(compose(*given))
    assert not payload.exists()
    log = (tmp_path / "session" / "log.jsonl").read_text()
    assert "trust=[payload.Policy]" in log


@pytest.mark.parametrize(
    "path",
    [
        "payload:Policy", "pandas:read_pickle", "joblib:load", "numpy:load", "os:system", "builtins:eval", "pickle:loads",
        "quantlab.core.files:write_text", "quantlab.core.fakes.models:FittedConstant", "quantlab.learning.models.xgboost:np",
        "quantlab.learning.models.native:NativeMember", "quantlab.learning.models.trees:Path", "", ":", "x", "a:b:c", "a.b:c.d",
        "quantlab.learning.models..xgboost:FittedXGBoost",
    ],
)  # fmt: skip
def test_no_member_is_of_such_a_class(tmp_path: Path, payload: Path, path: str) -> None:
    with pytest.raises(ArtifactError):
        member_class(path, tmp_path, Trust())
    assert not payload.exists()


def test_a_stored_member_names_no_class_of_its_own(shop: Path, tmp_path: Path, payload: Path) -> None:
    """In a bundle and in a run: the registry reads the same folders."""
    facts = {
        "version": "a", "class_path": "payload:Policy", "model_sha256": "", "feature_names": [], "feature_fingerprint": "",
        "feature_definitions": {}, "parts": {},
    }  # fmt: skip
    run = hostile_run(shop, tmp_path / "run")
    member = run / "members" / "a"
    (member / "model").mkdir(parents=True)
    (member / "model" / "x").write_text("x")
    seal_folder(member, facts)
    (member / MANIFEST).unlink()
    seal_folder(member, {**facts, "model_sha256": files_digest(member, "model")})
    stored = StoredMember.read(member)
    manifest = read_sealed(run / MANIFEST, MANIFEST_FORMAT, "")
    manifest["models"] = {
        "members": {"a": {"origin": "x", "sha256": stored.model_sha256}},
        "ensemble": {"names": ["a"], "weights": [1.0], "temperature": 1.0, "rules": {}},
    }
    for path in member.rglob("*"):
        if path.is_file():
            manifest["files_sha256"][path.relative_to(run).as_posix()] = sha256_file(path)
    write_sealed(run / MANIFEST, manifest, MANIFEST_FORMAT)
    registry = promote.build(compose(*at(tmp_path)).learning.registry)
    with pytest.raises(ArtifactError, match=r"trust=\[payload\.Policy\]"):
        register_run(registry, run)
    with pytest.raises(ArtifactError, match=r"trust=\[payload\.Policy\]"):
        promote.run(compose("job=promote", f"run={run}", "job.name=taken", *at(tmp_path)))
    assert not payload.exists()


# What the user allows.

OWN = """
from dataclasses import dataclass
import numpy as np
from quantlab.trading import FromSignals

@dataclass(frozen=True)
class Own(FromSignals):
    pass

def function(**_):
    raise SystemExit("called")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "own_strategies.py").write_text(OWN)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "own_strategies", raising=False)
    return folder


def test_the_refusal_prints_the_line_that_allows_it(shop: Path, tmp_path: Path, own: Path) -> None:
    given = ("job=backtest", *SMALL, *at(tmp_path), "trading.policy={_target_: own_strategies.Own}")
    backtest.run(compose(*given))
    (run,) = (tmp_path / "runs").glob("*/*")
    asked = ("job=promote", f"run={run}", "job.name=mine", *at(tmp_path))
    with pytest.raises(ArtifactError, match=r"add 'trust=\[own_strategies\.Own\]' to the command"):
        promote.run(compose(*asked))
    promote.run(compose(*asked, "trust=[own_strategies.Own]"))
    mine = tmp_path / "models" / "bundles" / "mine"
    with pytest.raises(ArtifactError, match="own_strategies"):
        load_bundle(mine, Trust())
    assert type(load_bundle(mine, Trust(("own_strategies.Own",))).strategy.policy).__name__ == "Own"


def test_what_is_allowed_is_still_a_class_outside_the_artifacts(shop: Path, tmp_path: Path, own: Path) -> None:
    good = json.loads((shop / "models" / "bundles" / "good" / CONFIG).read_bytes())

    def ask(name: str, trust: Trust, artifact: Path = tmp_path / "elsewhere") -> None:
        require_known_classes(put(good, "strategy.policy", {"_target_": name}), trust, artifact)

    ask("own_strategies.Own", Trust(("own_strategies.Own",)))
    with pytest.raises(ArtifactError, match="a function"):
        ask("own_strategies.function", Trust(("own_strategies.function",)))
    with pytest.raises(ArtifactError, match="which came with files that are only data"):
        ask("own_strategies.Own", Trust(("own_strategies.Own",)), artifact=own)
    with pytest.raises(ArtifactError, match="which came with files that are only data"):
        ask("own_strategies.Own", Trust(("own_strategies.Own",), (tmp_path,)))
    with pytest.raises(ArtifactError, match="no module nowhere_at_all"):
        ask("nowhere_at_all.Own", Trust(("nowhere_at_all.Own",)))
    with pytest.raises(ArtifactError, match="Missing"):
        ask("own_strategies.Missing", Trust(("own_strategies.Missing",)))
    for names in ("own_strategies.Own", ("own_strategies",), ("own strategies.Own",), (7,)):
        with pytest.raises(ConfigError, match="trust as a list"):
            Trust(names)  # type: ignore[arg-type]


def test_a_module_among_artifacts_is_not_imported_even_where_it_is_allowed(tmp_path: Path, payload: Path) -> None:
    trust = Trust(("payload.Policy",), (payload.parent,))
    with pytest.raises(ArtifactError, match="which came with files"):
        trust.find_class("payload.Policy", "a policy", tmp_path / "bundle")
    assert not payload.exists()
    Trust(("payload.Policy",)).find_class("payload.Policy", "a policy", tmp_path / "bundle")
    assert payload.exists(), "the same module elsewhere is taken: the test can fail"


# Files that fit their hashes and make no sense.

OTHER: tuple[Any, ...] = (None, 3, "x", [], {}, "???", ["x"], {"x": 1}, -1.5, True)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [found for key, item in items for found in paths_of(item, (*path, key))]
    return [path, *inner] if path else inner


def changes(content: Any, step: int) -> Iterator[Any]:
    """Copies of plain values in which one value is another or gone; every `step`-th of them."""
    cases = [(path, other) for path in paths_of(content) for other in (*OTHER, KeyError)]
    for path, other in cases[::step]:
        changed = copy.deepcopy(content)
        inner: Any = changed
        for key in path[:-1]:
            inner = inner[key]
        if other is KeyError:
            del inner[path[-1]]
        else:
            inner[path[-1]] = other
        yield changed


@pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_a_bundle_that_makes_no_sense_is_refused_and_nothing_else(shop: Path, tmp_path: Path, step: int) -> None:
    """A session that follows a pointer survives a refusal, and only that."""
    good = shop / "models" / "bundles" / "good"
    facts, config = verify_folder(good), json.loads((good / CONFIG).read_bytes())
    folder = tmp_path / "foreign"
    shutil.copytree(good, folder)
    history = load_history(setup(compose(*SMALL)), SilentProgress())
    refused = 0
    for other_facts, other_config in (
        *((facts, one) for one in changes(config, step)),
        *((one, config) for one in changes(facts, step)),
    ):
        write_json(folder / CONFIG, other_config)
        (folder / MANIFEST).unlink()
        seal_folder(folder, other_facts)
        try:
            chosen = strategy_of(load_bundle(folder, Trust()))
            chosen.require_market(history)
            assert chosen.terms({})
        except QuantlabError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("step", [41, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_that_makes_no_sense_is_refused_and_nothing_else(shop: Path, tmp_path: Path, step: int) -> None:
    run = hostile_run(shop, tmp_path / "run")
    manifest = read_sealed(run / MANIFEST, MANIFEST_FORMAT, "")
    config = yaml.safe_load((run / "config.yaml").read_text())
    kept = {name: config[name] for name in (*SECTIONS, "signal", "learning")}
    for other, plain in (
        *((one, config) for one in changes(manifest, step)),
        *((manifest, one) for one in changes(kept, step)),
    ):
        (run / "config.yaml").write_text(yaml.safe_dump(plain))
        if isinstance(other.get("files_sha256"), dict):
            other = {
                **other,
                "files_sha256": {**other["files_sha256"], "config.yaml": sha256_file(run / "config.yaml")},
            }
        write_sealed(run / MANIFEST, other, MANIFEST_FORMAT)
        with contextlib.suppress(QuantlabError):
            configuration_of(read_run(run, "run"))


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {b: *a}",
        "a: &a [1]\nb: *a",
        "a: !!set {x}",
        "a: 2001-12-14",
        "a: !!binary aGk=",
        "[",
        "- 1",
        "7",
        "a: !!python/name:os.system",
    ],
)
def test_a_configuration_is_plain_values(shop: Path, tmp_path: Path, text: str) -> None:
    run = hostile_run(shop, tmp_path / "run")
    (run / "config.yaml").write_text(text)
    manifest = read_sealed(run / MANIFEST, MANIFEST_FORMAT, "")
    manifest["files_sha256"]["config.yaml"] = sha256_file(run / "config.yaml")
    write_sealed(run / MANIFEST, manifest, MANIFEST_FORMAT)
    with pytest.raises(ArtifactError):
        read_run(run, "run")


def test_a_run_reads_no_file_outside_it(shop: Path, tmp_path: Path) -> None:
    """A name that leads out, here to a file without an end, is not opened."""
    run = hostile_run(shop, tmp_path / "run")
    manifest = read_sealed(run / MANIFEST, MANIFEST_FORMAT, "")
    manifest["files_sha256"]["members/" + "../" * 20 + "dev/zero"] = "0" * 64
    write_sealed(run / MANIFEST, manifest, MANIFEST_FORMAT)
    with pytest.raises(ArtifactError, match="as it was written"):
        read_run(run, "run")
