"""A folder in which a page is followed: its files, small data for its ``DIR``, local exchanges for its exchanges."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from binance_server import DAY_MS, EPOCH_MS, FakeBinance, Listing, serving
from coin_server import FakeMarkets, coin
from command_endings import ENDINGS, Ending
from import_files import TIMES, archive, make_bars, write_csv
from other_exchanges import FakeOkx
from page_commands import PageCommand

REPOSITORY = Path(__file__).resolve().parents[2]
_FILE = re.compile(r"^```\w+ (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"^```\n((symbol,time,factor|symbol,from,tick).*?)^```", re.MULTILINE | re.DOTALL)
_TABLES = {"symbol,time,factor": "adjustments.csv", "symbol,from,tick": "instruments.csv"}
#: A policy of a user's own, which docs/registry.md speaks of.
_POLICY = """\
from quantlab.trading.strategy.policies import FromSignals


class DipBuyer(FromSignals):
    def __init__(self):
        super().__init__(rebalance=False)
"""


@dataclass
class Servers:
    """Local exchanges, and the overrides that point a job at one of them."""

    overrides: dict[str, tuple[str, ...]] = field(default_factory=dict)


@contextmanager
def local_exchanges() -> Iterator[Servers]:
    """Serve a few days of a few symbols, as Binance with its coins and as OKX do."""
    listings = {
        "BTCUSDT": Listing(1, volume=9e9),
        "ETHUSDT": Listing(2, volume=5e9, holes=((700, 703),)),
        "SOLUSDT": Listing(3, volume=4e9),
    }
    coins = [coin(symbol, rank) for rank, symbol in enumerate(("BTC", "ETH", "USDT", "SOL", "WBTC", "USDC", "STETH"))]
    binance = FakeBinance(dict(listings), EPOCH_MS + 16 * DAY_MS, bars=17 * 288)
    earlier = FakeMarkets(
        dict(listings), EPOCH_MS + 8 * DAY_MS, bars=17 * 288, coins=coins
    )  # members before their bars
    names = ("BTC-USDT-SWAP", "ETH-USDT-SWAP")
    okx = FakeOkx(dict(zip(names, listings.values(), strict=False)), EPOCH_MS + 8 * DAY_MS, bars=9 * 288)
    with ExitStack() as stack:
        one: FakeBinance = stack.enter_context(serving(binance))
        other: FakeBinance = stack.enter_context(serving(okx))
        dated: FakeBinance = stack.enter_context(serving(earlier))
        survey = f"settings={{urls:{{api:{{fapiPublic:'{dated.url}/fapi/v1'}}}},rateLimit:1}}"
        settings = f"settings={{urls:{{api:{{fapiPublic:'{one.url}/fapi/v1'}}}},rateLimit:1}}"
        okx_settings = f"settings={{urls:{{api:{{rest:'{other.url}'}}}},rateLimit:1}}"
        asking = (
            f"+job.survey.{survey}",
            f"job.survey.coins.url={dated.url}/api/v3",
            "job.survey.coins.seconds_between=0",
            "job.rules.least_age_days=3",
        )
        collecting = (f"+job.source.{settings}",)
        yield Servers({"binance": collecting, "okx": (f"+job.source.{okx_settings}",), "universe": asking})


@dataclass
class Workspace:
    """The folder of a page.

    Parameters
    ----------
    folder : Path
        Where its commands are run.
    shared : Path
        Small data and the cache of all pages.
    servers : Servers
    """

    folder: Path
    shared: Path
    servers: Servers

    def run(self, command: PageCommand, ending: Ending) -> subprocess.CompletedProcess[str]:
        """Run a command as it is printed, with names for its placeholders and the overrides that make it small."""
        for text in ending.before:
            done = self.run(PageCommand(command.page, command.line, text), ENDINGS.get(text, Ending()))
            if done.returncode:
                return done
        small = self.small(command, ending)
        taken = {word.partition("=")[0] for word in small if "=" in word}  # nothing is given twice
        words = [word for word in self.named(command, ending) if word.partition("=")[0] not in taken]
        words += small
        words[0] = sys.executable
        path = [str(self.folder), os.environ.get("PYTHONPATH", "")]
        return subprocess.run(
            words,
            cwd=REPOSITORY if command.overrides is None else self.folder,
            env={**os.environ, "COLUMNS": "200", "PYTHONPATH": os.pathsep.join(filter(None, path))},
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
        )

    def small(self, command: PageCommand, ending: Ending) -> tuple[str, ...]:
        """Return what is put behind the command."""
        overrides = command.overrides
        if overrides is None or "--help" in overrides:
            return ending.more
        typed = {word.partition("=")[0] for word in overrides if word.startswith("debug=")}
        more = [word for word in ending.more if word.partition("=")[0] not in typed]
        server = self.servers.overrides.get(ending.server, ())
        if ending.server == "universe" and "job=collect" in overrides:
            server = self.servers.overrides["binance"]
        return (*more, *server, f"cache_dir={self.shared / 'cache'}")

    def named(self, command: PageCommand, ending: Ending) -> list[str]:
        """Return the command's words with the folders, runs and bundles that its placeholders stand for."""
        text = command.text
        if ending.folder == "trusted":
            text = text.replace("bundle=DIR", "bundle=models/bundles/dip")
        text = re.sub(r"=BROKEN\b", f"={self.shared / 'broken'}", text)
        text = re.sub(r"=(DIR|DAILY)\b", f"={self.shared / ending.folder}", text)
        text = re.sub(r"models/bundles/(NAME\b|<name>)", lambda _: f"models/bundles/{self.bundles()[-1]}", text)
        text = re.sub(r"models/bundles/<older>", lambda _: f"models/bundles/{self.bundles()[0]}", text)
        text = re.sub(r"runs/(\w+)/(ID|RUN|<run>)(?!\w)", lambda found: self.newest_run(found[1]), text)
        text = re.sub(r"(?<=,)ID(?=\])", lambda _: Path(self.newest_run("baseline")).name, text)
        text = re.sub(r"job\.version=v\d{8}_\d{6}", lambda _: f"job.version={self.newest_version()}", text)
        return shlex.split(text)

    def bundles(self) -> list[str]:
        """Names of the bundles, oldest first."""
        paths = (self.folder / "models" / "bundles").glob("*/manifest.json")
        return [path.parent.name for path in sorted(paths, key=lambda path: path.stat().st_mtime)]

    def newest_run(self, experiment: str) -> str:
        """Folder of the newest run; ``EXPERIMENT`` stands for any."""
        pattern = "*" if experiment == "EXPERIMENT" else experiment
        paths = (self.folder / "runs").glob(f"{pattern}/*/manifest.json")
        newest = max(
            (path.parent for path in paths if (path.parent / "metrics.json").is_file()), key=lambda path: path.name
        )
        return newest.relative_to(self.folder).as_posix()

    def newest_version(self) -> str:
        """Stamp of what was registered last."""
        names = (path.parent.name for path in (self.folder / "models").glob("*_v*/manifest.json"))
        return "v" + max(name.rpartition("_v")[2] for name in names)


def write_page_files(page: str, folder: Path) -> None:
    """Write the files that a page shows: blocks with a name, and tables that its commands read by name."""
    for name, content in _FILE.findall(page):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(content)
    for content, head in _TABLE.findall(page):
        (folder / _TABLES[head]).write_text(content, encoding="utf-8")
    (folder / "my_strategies.py").write_text(_POLICY, encoding="utf-8")
    write_signals(folder / "mine.parquet")


def write_shared_data(shared: Path) -> None:
    """Write the small data that stands for ``DIR`` and ``DAILY``."""
    names = ("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT")
    first_ms = EPOCH_MS - 37 * DAY_MS
    for seed, name in enumerate(names):
        write_prices(shared / "market" / f"{name}.parquet", seed, first_ms, 300_000, 51 * 288)
        write_prices(shared / "daily" / f"{name}.parquet", seed, first_ms - 300 * DAY_MS, DAY_MS, 320)
    for day in (1, 2):
        archive(shared / "archives", f"BTCUSDT-5m-2025-05-{day:02d}", slice((day - 1) * 288, day * 288))
    stamps = [str(np.datetime64(int(stamp), "ms")) for stamp in TIMES[:600]]
    write_csv(shared / "csv" / "BTCUSDT.csv", list(stamps), slice(0, 600))
    _write_broken(shared / "broken" / "AAAUSDT.csv")
    _write_downloads(shared)


def write_freqtrade(folder: Path) -> None:
    """Write a pair as freqtrade keeps it."""
    bars = make_bars(5, 600)
    stamps = pa.array(TIMES[:600]).cast(pa.timestamp("ms", tz="UTC"))
    table = {"date": stamps, **{name: bars[:, k] for k, name in enumerate(("open", "high", "low", "close", "volume"))}}
    folder.mkdir(parents=True)
    pyarrow.feather.write_feather(pa.table(table), folder / "BTC_USDT_USDT-5m-futures.feather")


def write_prices(path: Path, seed: int, first_ms: int, step_ms: int, n_bars: int) -> None:
    """Write a seeded walk as one parquet file."""
    ohlcv = make_bars(seed, n_bars)
    stamps = pa.array(first_ms + step_ms * np.arange(n_bars, dtype=np.int64)).cast(pa.timestamp("ms", tz="UTC"))
    columns = {name: ohlcv[:, k] for k, name in enumerate(("open", "high", "low", "close", "volume"))}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"timestamp": stamps, **columns}), path)


def write_signals(path: Path) -> None:
    """Write the three targets of docs/write-a-strategy.md."""
    first = np.datetime64("2025-01-01T00:00", "ms").astype(np.int64)
    stamps = first + 300_000 * np.array([100, 400, 500])
    rows = {
        "timestamp": pa.array(stamps, pa.timestamp("ms", tz="UTC")),
        "symbol": ["SYN00", "SYN01", "SYN00"],
        "target": [0.05, -0.05, 0.0],
    }
    pq.write_table(pa.table(rows), path)


def _write_broken(path: Path) -> None:
    """A redenomination at 2025-05-02T05:10: prices a thousandth, volumes a thousand times."""
    bars, step = make_bars(7, 600), 288 + 62
    bars[:step, :4] *= 1000.0
    bars[:step, 4] /= 1000.0
    rows = [
        ",".join(map(str, (np.datetime64(int(stamp), "ms"), *bar)))
        for stamp, bar in zip(TIMES[:600], bars.tolist(), strict=True)
    ]
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n", encoding="utf-8")


def _write_downloads(shared: Path) -> None:
    """Tables as yfinance and cryptodatadownload write them."""
    bars = make_bars(9, 400)
    days = np.datetime64("2024-01-01") + np.arange(400)
    rows = [
        f"{day},{close},{high},{low},{open_},{volume}"
        for day, (open_, high, low, close, volume) in zip(days, bars.tolist(), strict=True)
    ]
    head = ["Price,Close,High,Low,Open,Volume", "Ticker" + ",BTC-USD" * 5, "Date,,,,,"]
    (shared / "yfinance").mkdir()
    (shared / "yfinance" / "BTCUSD.csv").write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")
    hours = np.datetime64("2025-01-10T00", "h") + np.arange(400)
    rows = [
        ",".join(map(str, (hour.astype("datetime64[ms]").astype(int), hour, "BTCUSDT", *bar, 1.0, 7)))
        for hour, bar in zip(hours, bars.tolist(), strict=True)
    ]
    head = [
        "https://www.CryptoDataDownload.com",
        "Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount",
    ]
    (shared / "cryptodatadownload").mkdir()
    path = shared / "cryptodatadownload" / "BTCUSDT.csv"
    path.write_text("\n".join([*head, *reversed(rows)]) + "\n", encoding="utf-8")
