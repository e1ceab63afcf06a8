"""The jobs from end to end: collect from the local exchange, look at the data, run the main job on it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from binance_server import DAY_MS, EPOCH_MS, FakeBinance, Listing, serving
from other_exchanges import FakeHyperliquid

from quantlab.core.errors import ConfigError
from quantlab.jobs.config.composition import compose
from quantlab.jobs.data import collect, data

Start = Callable[..., FakeBinance]
#: Members that need no network, untuned.
TREES = (
    "~learning.members.nhits",
    "~learning.members.patchtst",
    "learning.tuning=null",
    "workers=1",
    "learning.ensemble.quorum=1",
)


def quantlab(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "quantlab", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def collecting(server: FakeBinance, *more: str) -> list[str]:
    settings = f"+job.source.settings={{urls:{{api:{{fapiPublic:'{server.url}/fapi/v1'}}}},rateLimit:1}}"
    return ["job=collect", settings, "job.root=market", *more]


@pytest.fixture
def collected(
    binance: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    listings = {
        "BTCUSDT": Listing(1),
        "ETHUSDT": Listing(2, holes=((700, 703), (900, 1000))),
        "SOLUSDT": Listing(3),
        "NEWUSDT": Listing(4, first=1500),
    }
    server = binance(listings, bars=17 * 288, now_ms=EPOCH_MS + 16 * DAY_MS)
    monkeypatch.chdir(tmp_path)
    collect.run(compose(*collecting(server, "job.source.days=16")))
    assert "17,001 new rows, 0 repeated ones dropped; 4 symbols, 32 files" in capsys.readouterr().out
    return tmp_path


def test_collect_look_and_learn(collected: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """job=collect, then job=data, then the main job with both kinds of trees on what was collected."""
    data.run(compose("job=data", "data=collected", "data.root=market"))
    folder = Path(capsys.readouterr().out.rsplit("run: ", 1)[1].strip())
    quality = json.loads((folder / "quality.json").read_text())
    assert quality["refused"] == []
    assert "ETHUSDT: 100 missing bars after 2025-05-04T02:55:00Z, back at 2025-05-04T11:20:00Z" in quality["findings"]
    page = (folder / "coverage.html").read_text()
    assert page.count("<i ") == 4 * 16
    assert 'title="2025-05-04: 65.3%"' in page

    ran = quantlab(collected, "experiment=ensemble_v2", "debug=tiny", "data=collected", "data.root=market", *TREES)
    assert ran.returncode == 0, ran.stderr
    metrics = json.loads(next(collected.glob("runs/ensemble_v2/*/metrics.json")).read_text())
    assert metrics["evidence"]
    assert next(collected.glob("runs/ensemble_v2/*/report.html")).is_file()


@pytest.mark.slow
def test_another_exchange_from_collection_to_backtest(tmp_path: Path) -> None:
    """Hyperliquid, whose names are not Binance's: collected, looked at, traded, and its defaults said."""
    listings = {"BTC": Listing(1), "kPEPE": Listing(2, holes=((700, 703),))}
    with serving(FakeHyperliquid(listings, EPOCH_MS + 9 * DAY_MS, bars=10 * 288)) as server:
        settings = f"+job.source.settings={{urls:{{api:{{public:'{server.url}'}}}},rateLimit:1}}"
        source = ["job=collect", "job/source=hyperliquid", settings, "job.root=market", "job.source.days=9"]
        done = quantlab(tmp_path, *source)
        assert done.returncode == 0, done.stderr
        assert "note: the exchange tells no maintenance margin of 2 of 2 symbols" in done.stdout
    looked = quantlab(tmp_path, "job=data", "data=collected", "data.root=market")
    assert looked.returncode == 0, looked.stderr
    assert "kPEPE" in looked.stdout
    assert "note: the exchange tells no maintenance margin of 2 of 2 symbols" in looked.stdout
    ran = quantlab(tmp_path, "experiment=baseline", "data=collected", "data.root=market")
    assert ran.returncode == 0, ran.stderr
    page = next(tmp_path.glob("runs/baseline/*/report.html")).read_text()
    assert "tells no maintenance margin of 2 of 2 symbols" in page


def test_job_data_lists_every_refused_file_and_shows_the_rest(market_data: Path, tmp_path: Path) -> None:
    done = quantlab(tmp_path, "job=data", "data=parquet", f"data.root={market_data / 'dirty'}")
    assert done.returncode == 2
    quality = json.loads(next(tmp_path.glob("runs/checks/data/*/quality.json")).read_text())
    for number, text in zip(("01", "02", "03", "04", "05", "10", "11"), quality["refused"], strict=True):
        assert f" {number}_" in text
    assert set(quality["report"]["symbols"]) == {"06_zero_volume_run", "07_missing_bars"}


def test_a_collection_that_cannot_begin_leaves_nothing(
    binance: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="a linear perpetual of the exchange; found 'NOPEUSDT'"):
        collect.run(compose(*collecting(binance(), "job.source.choice.symbols=[NOPEUSDT]")))
    assert not (tmp_path / "market").exists()


def test_help_does_not_load_ccxt_and_lists_the_sources(repository: Path) -> None:
    code = (
        "import sys; sys.argv=['q','--help']; from quantlab.__main__ import main; main(); print('ccxt' in sys.modules)"
    )
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert text.splitlines()[-1] == "False"
    assert "archives, bybit, csv, exchange, freqtrade, hyperliquid, okx" in text
