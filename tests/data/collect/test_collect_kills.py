"""Killed anywhere and run again, a collection ends with the bytes of one that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from binance_server import DAY_MS, EPOCH_MS, STEP_MS, FakeBinance, Listing

from quantlab.data.store.day_files import read_day
from quantlab.data.store.manifest import read_manifest
from quantlab.data.store.store import Batch, open_store

Start = Callable[..., FakeBinance]


class PowerCut(BaseException):
    """The process is gone: nothing catches this."""


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def command(server: FakeBinance, root: Path) -> list[str]:
    settings = f"{{urls:{{api:{{fapiPublic:'{server.url}/fapi/v1'}}}},rateLimit:1}}"
    return [
        *(sys.executable, "-m", "quantlab", "job=collect", f"job.root={root}", f"+job.source.settings={settings}"),
        *("job.source.days=2", "job.source.choice.largest=null", "job.source.bars_per_request=288"),
        *("job.source.rates_per_request=48", "job.source.retry.first_seconds=0"),
    ]


def killed_and_resumed(server: FakeBinance, tmp_path: Path, kills: int, seed: int) -> None:
    server.delay = 0.0
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(server, whole), cwd=tmp_path, check=True, capture_output=True, timeout=120)
    needed = len(server.requests)
    server.delay = 0.02
    chance = random.Random(seed)  # noqa: S311 - chooses when to kill
    for _ in range(kills):
        target = len(server.requests) + chance.randrange(1, needed)
        process = subprocess.Popen(
            command(server, cut), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and len(server.requests) < target:
            time.sleep(0.001)
        time.sleep(chance.random() * 0.05)
        os.kill(process.pid, signal.SIGKILL) if process.poll() is None else None
        process.wait()
    server.delay = 0.0
    done = subprocess.run(command(server, cut), cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120)
    assert "new rows" in done.stdout
    assert contents(cut) == contents(whole)


def test_kill_minus_nine_and_resume(binance: Start, tmp_path: Path) -> None:
    killed_and_resumed(binance(), tmp_path, kills=1, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_kills(binance: Start, tmp_path: Path, seed: int) -> None:
    killed_and_resumed(binance(), tmp_path, kills=10, seed=100 + seed)


def grow(root: Path, server: FakeBinance) -> None:
    """Four commits, without an exchange: the bars of a day and a half, its rates, the rest of both."""
    with open_store(root, "binanceusdm", STEP_MS) as store:
        for low, high in ((0, 432), (432, 576)):
            span = (EPOCH_MS + low * STEP_MS, EPOCH_MS + high * STEP_MS)
            for kind in ("bars", "funding"):
                series = {}
                for symbol in server.listings:
                    times, rows = server.ohlcv(symbol) if kind == "bars" else server.rates(symbol)
                    chosen = (times >= span[0]) & (times < span[1])
                    series[symbol] = (times[chosen], rows[chosen].reshape(int(chosen.sum()), -1))
                covered = dict.fromkeys(series, (span,))
                if not within(span, store.covered("BTCUSDT", kind)):
                    store.add(Batch(kind, series, covered, {}))
        store.finish()


def within(span: tuple[int, int], spans: tuple[tuple[int, int], ...]) -> bool:
    return any(a <= span[0] and span[1] <= b for a, b in spans)


@pytest.mark.parametrize("operation", ["replace", "unlink"])
def test_a_power_cut_at_every_rename_and_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """Cut before the n-th file operation, for every n; then run again."""
    listings = {"BTCUSDT": Listing(1), "ETHUSDT": Listing(2)}
    server = FakeBinance(listings, EPOCH_MS + 2 * DAY_MS, bars=2 * 288)
    real = getattr(Path, operation)
    grow(tmp_path / "whole", server)
    want, cuts = contents(tmp_path / "whole"), 0
    for n in range(1, 100):
        left = [n]

        def failing(path: Path, *arguments: Any, left: list[int] = left, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise PowerCut
            return real(path, *arguments, **options)

        root = tmp_path / str(n)
        with monkeypatch.context() as patch:
            patch.setattr(Path, operation, failing)
            try:
                grow(root, server)
            except PowerCut:
                cuts += 1
            else:
                break
        if (root / "manifest.json").exists():
            manifest = read_manifest(root)  # what a reader finds right after the cut is whole
            for part, stored in manifest.files.items():
                read_day(root, part, stored)
        grow(root, server)
        assert contents(root) == want
    assert cuts == {"replace": 12, "unlink": 2}[operation]
