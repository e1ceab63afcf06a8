"""The doctor's look at registry, secrets, the exchange's clock and the collected dataset."""

from __future__ import annotations

import importlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import DictConfig, OmegaConf

from quantlab.core.errors import InstallationError
from quantlab.data.quality.coverage import coverage
from quantlab.data.store.day_files import BARS, FUNDING
from quantlab.data.store.manifest import SymbolFacts
from quantlab.data.store.store import Batch, open_store
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.config.folder import config_folder
from quantlab.jobs.config.sections import history_cut
from quantlab.jobs.doctor import doctor as doctor_job
from quantlab.jobs.doctor.check import Check, Status
from quantlab.jobs.doctor.collected import check_collected
from quantlab.jobs.doctor.data import check_data
from quantlab.jobs.doctor.doctor import examine
from quantlab.jobs.doctor.exchange import check_exchange_clock
from quantlab.jobs.doctor.models import check_models
from quantlab.jobs.doctor.secrets import check_secrets
from quantlab.learning.registry import inspection as registry_inspection
from quantlab.learning.registry import log as registry_log

HOUR_MS = 3_600_000


def doctor(**settings: Any) -> DictConfig:
    cfg = compose("job=doctor", "debug=tiny")
    for key, value in settings.items():
        OmegaConf.update(cfg, key, value, force_add=True)
    return cfg


# ---- secrets


@pytest.mark.parametrize(
    "text",
    [
        "apiKey: 0a1b",
        "  secret: '0a1b'",
        'password = "x"',
        '{"api_key": "0a1b"}',
        "EXCHANGE_API_SECRET: 0a1b",
        "token=0a1b",
    ],
)
def test_a_secret_that_others_can_read_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deep" / "exchange.yaml"
    path.parent.mkdir()
    path.write_text(f"exchange: binance\n{text}\n")
    for mode in (0o644, 0o640, 0o604, 0o620, 0o601):
        path.chmod(mode)
        check = check_secrets([tmp_path], [])
        assert check.status is Status.BROKEN
        assert f"{path} has mode {mode:o}" in check.detail
        assert f"chmod 600 {path}" in check.fix
        assert "0a1b" not in str(check)
    path.chmod(0o600)
    assert check_secrets([tmp_path], []) == Check(
        "secrets", Status.OK, "1 files with secrets, readable by their owner alone"
    )


@pytest.mark.parametrize(
    "text",
    [
        "apiKey: null",
        "apiKey:",
        "apiKey: ${oc.env:KEY}",
        "secret: ???",
        "password: ''",
        "headers: {}",
        "tokens: 5",
        "# a",
    ],
)
def test_no_secret_no_complaint(tmp_path: Path, text: str) -> None:
    (tmp_path / "plain.yaml").write_text(text + "\nnext: 1\n")
    assert check_secrets([tmp_path], []).detail.startswith("0 files")


def test_every_env_file_counts_and_the_project_has_none(tmp_path: Path) -> None:
    for name in (".env", ".env.live"):
        (tmp_path / name).write_text("X=1")
        (tmp_path / name).chmod(0o644)
    check = check_secrets([], [tmp_path, tmp_path / "absent"])
    assert check.status is Status.BROKEN
    assert ".env has mode 644" in check.detail
    assert ".env.live has mode 644" in check.detail
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "data.json").write_text('{"token": "0a1b"}')
    assert "below" not in check_secrets([], [tmp_path]).detail
    assert "below" in check_secrets([tmp_path], []).detail
    assert check_secrets([config_folder()], []).status is Status.OK


# ---- the exchange's clock


@contextmanager
def exchange_clock(ahead_ms: int, status: int = 200) -> Iterator[dict[str, Any]]:
    """Settings for ccxt of an exchange whose clock is so far ahead."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"serverTime": time.time_ns() // 1_000_000 + ahead_ms}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/fapi/v1"
        yield {"timeout": 5000, "rateLimit": 1, "urls": {"api": {"fapiPublic": url}}}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("ahead_ms", "status"), [(0, Status.OK), (60_000, Status.BROKEN), (-60_000, Status.BROKEN), (30_000, Status.OK)]
)
def test_the_exchanges_clock_is_held_against_ours(ahead_ms: int, status: Status) -> None:
    """Limits far above what a busy machine can delay an answer by."""
    with exchange_clock(ahead_ms) as settings:
        cfg = doctor(**{"job.settings": settings, "job.clock_limit_ms": 45_000.0})
        check = check_exchange_clock(cfg, "binanceusdm")
    assert check.status is status
    ahead = float(check.detail.split(" is ")[1].split(" ms")[0])
    assert abs(ahead - ahead_ms) < 10_000
    assert ("clock" in check.fix) == (status is Status.BROKEN)


def test_without_network_the_clock_is_skipped_with_a_reason() -> None:
    dead = {"timeout": 2000, "urls": {"api": {"fapiPublic": "http://127.0.0.1:9/fapi/v1"}}}
    check = check_exchange_clock(doctor(**{"job.settings": dead}), "binanceusdm")
    assert check.status is Status.NOT_CHECKED
    assert check.detail.startswith("binanceusdm cannot be reached")
    with exchange_clock(0, status=503) as settings:
        assert check_exchange_clock(doctor(**{"job.settings": settings}), "binanceusdm").status is Status.NOT_CHECKED
    assert check_exchange_clock(doctor(), None).fix == "add job.exchange=NAME"
    assert check_exchange_clock(doctor(), "mtgox").status is Status.BROKEN


# ---- the collected dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two days of two symbols that ended three hours ago; one ends a day earlier and lacks ten bars."""
    root = tmp_path / "market"
    end = (time.time_ns() // 1_000_000 - 3 * HOUR_MS) // 300_000 * 300_000
    stamps = end - 300_000 * np.arange(576, 0, -1, dtype=np.int64)
    values = np.tile([10.0, 11.0, 9.0, 10.0, 5.0], (576, 1))
    kept = np.r_[0:100, 110:288]
    series = {"AAA": (stamps, values), "BBB": (stamps[kept], values[kept])}
    covered = {"AAA": ((int(stamps[0]), end),), "BBB": ((int(stamps[0]), int(stamps[288])),)}
    paid = {"AAA": (stamps[:1], np.array([[1e-4]]))}
    with open_store(root, "binanceusdm", 300_000) as store:
        store.add(Batch(BARS, series, covered, {name: SymbolFacts() for name in series}))
        store.add(Batch(FUNDING, paid, {"AAA": covered["AAA"]}, {}))
        store.finish()
    return root


def test_coverage_of_the_collected_data(dataset: Path) -> None:
    check = check_collected(doctor(**{"job.collected": str(dataset)}))
    assert check.status is Status.LOOK
    lines = check.detail.splitlines()
    assert lines[0].startswith("2 symbols of binanceusdm until 20")
    assert lines[1].startswith("1 symbols end earlier, e.g. BBB")
    assert lines[2] == "1 symbols have no funding rates, e.g. BBB"
    assert lines[3] == "10 bars are missing in 1 symbols, most in BBB (10)"
    old = check_collected(doctor(**{"job.collected": str(dataset), "job.oldest_hours": 1.0}))
    assert "the newest bar is 3 hours old" in old.detail


def test_damage_of_the_collected_data_is_broken_with_its_mend(dataset: Path, tmp_path: Path) -> None:
    path = sorted((dataset / BARS).iterdir())[0]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    check = check_collected(doctor(**{"job.collected": str(dataset)}))
    assert check.status is Status.BROKEN
    assert path.name in check.detail
    assert "job.repair=true" in check.fix
    path.unlink()
    assert path.name in check_collected(doctor(**{"job.collected": str(dataset)})).detail
    (dataset / "manifest.json").write_text("{")
    assert check_collected(doctor(**{"job.collected": str(dataset)})).status is Status.BROKEN
    assert check_collected(doctor(**{"job.collected": str(tmp_path / "none")})).status is Status.NOT_SET_UP


# ---- the registry


def test_an_empty_registry_is_not_set_up_and_a_damaged_one_broken(tmp_path: Path) -> None:
    cfg = doctor(registry_root=str(tmp_path / "models"))
    assert check_models(cfg).status is Status.NOT_SET_UP
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / registry_log.POINTER).write_text("{")
    check = check_models(cfg)
    assert check.status is Status.BROKEN
    assert check.fix


def test_a_damaged_version_is_named_and_stays_where_it_is(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(repository / "tests" / "learning" / "fakes"))
    monkeypatch.setattr(registry_inspection, "prove", lambda *_: None)  # a child process takes seconds
    fakes = importlib.import_module("registry_fakes")
    root = tmp_path / "models"
    registry = fakes.new_registry(root)
    registry.promote(fakes.register(registry, "a", "b", seed=0), fakes.Contract(), "first")
    cfg = doctor(registry_root=str(root))
    assert check_models(cfg).detail == "2 of 2 versions verified, 2 in service"

    path = root / registry.active()["a"] / "model" / "means.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    bad, good = registry.active()["a"], registry.active()["b"]
    check = check_models(cfg)
    assert check.status is Status.BROKEN
    assert check.detail.startswith(f"1 of 2 versions verified, 2 in service\n{bad} is damaged: ")
    assert good not in check.detail
    assert f"job.action=quarantine job.version={bad}" in check.fix
    assert registry.active() == {"a": bad, "b": good}  # the doctor looks, and moves nothing

    registry.quarantine(bad, "damaged")
    check = check_models(cfg)
    assert check.status is Status.LOOK
    assert f"{bad} is damaged, in quarantine" in check.detail


def test_every_check_is_made_and_a_damaged_dataset_stops_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "market").mkdir()
    (tmp_path / "market" / "manifest.json").write_text("{")
    cfg = doctor(**{"job.collected": "market", "history.bars": 300})
    found = {check.name: check for check in examine(cfg)}
    assert list(found)[-6:] == ["clock", "exchange clock", "secrets", "model registry", "collected data", "data"]
    assert found["exchange clock"].status is Status.NOT_SET_UP
    assert found["collected data"].status is Status.BROKEN
    assert found["data"].status is Status.OK
    assert os.listdir(tmp_path) == ["market"]


# ---- the configured data


def test_incidents_of_the_synthetic_market_are_not_shown_as_findings_in_anybodys_data(tmp_path: Path) -> None:
    """The same stop, holes and late listings: part of an invented market, to look at in files of one's own."""
    cfg = doctor(**{"history.bars": 3000, "history.symbols": None, "history.end": "2025-01-12"})
    bars = history_cut(cfg).load(build(cfg.data))
    findings = coverage(bars).findings()
    assert any("venue-wide stop" in text for text in findings)
    invented = check_data(cfg)
    assert invented.status is Status.OK
    assert invented.detail.startswith("synthetic market: 10 symbols x 3000 bars")
    assert [text for text in findings if text in invented.detail] == []

    for s, symbol in enumerate(bars.symbols):
        rows = bars.printed[:, s]
        columns = dict(zip(("open", "high", "low", "close", "volume"), bars.ohlcv[rows, s].T.copy(), strict=True))
        stamps = pa.array(bars.open_time_ms[rows], pa.timestamp("ms", tz="UTC"))
        pq.write_table(pa.table({"timestamp": stamps, **columns}), tmp_path / f"{symbol}.parquet")
    own = check_data(compose("job=doctor", "data=parquet", f"data.root={tmp_path}"))
    assert own.status is Status.LOOK
    assert [text for text in findings[:3] if text in own.detail]


# ---- the lines


def test_every_check_is_announced_before_it_is_made_and_printed_as_it_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def look(cfg: DictConfig) -> Check:
        seen.append(capsys.readouterr().out)
        return Check("second [b]", Status.BROKEN, "a [/b] detail " * 20, "python -m quantlab job=collect [c]")

    monkeypatch.setattr(doctor_job, "_CHECKS", {"first": lambda _: Check("first", Status.OK, "fine"), "second": look})
    begun: list[str] = []
    assert [check.name for check in doctor_job.examine(doctor(), begun.append)] == ["first", "second [b]"]
    assert begun == ["first", "second"]
    seen.clear()
    with pytest.raises(InstallationError, match=re.escape("broken: second [b]")):
        doctor_job.run(doctor())
    assert "first" in seen[0]
    assert "fine" in seen[0]
    after = capsys.readouterr().out
    assert "to fix: python -m quantlab job=collect [c]" in after
    assert max(map(len, after.splitlines())) <= 80


def test_the_checkout_itself_holds_no_secret(repository: Path, tmp_path: Path) -> None:
    """The demo key of job=exchange is published and none, and so are names of variables; a secret that only begins like one is one."""
    assert check_secrets([repository / "conf"], []).status is Status.OK
    for text in ("demo-secret-of-mine", "QUANTLAB_BINANCE_SECRETs3cr3t", "QUANTLAB_x"):
        (tmp_path / "own.yaml").write_text(f"secret: {text}\n")
        (tmp_path / "own.yaml").chmod(0o644)
        assert check_secrets([tmp_path], []).status is Status.BROKEN, text
