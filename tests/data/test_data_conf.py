"""Every data configuration is one constructor call, and importing the room stays light."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import MissingMandatoryValue, OmegaConf

from quantlab.core.market import Instrument
from quantlab.data import ParquetSource, SyntheticSource

INSTRUMENT = {
    "_target_": "quantlab.core.market.Instrument",
    "tick": 0.0,
    "lot": 0.0,
    "min_notional": 10.0,
    "maintenance_margin_rate": 0.03,
    "maker_fee_bps": 1.5,
    "taker_fee_bps": 4.5,
}


def compose(repository: Path, name: str, **overrides: Any) -> Any:
    data = OmegaConf.load(repository / "conf" / "data" / f"{name}.yaml")
    return OmegaConf.create({"data": OmegaConf.merge(data, overrides), "trading": {"instrument": INSTRUMENT}})


def test_parquet(repository: Path, write_bars: Callable[..., Path], tmp_path: Path) -> None:
    write_bars(tmp_path / "A.parquet", range(3))
    source = instantiate(compose(repository, "parquet", root=str(tmp_path), symbols=["A"]).data)
    assert isinstance(source, ParquetSource)
    assert isinstance(source.instrument, Instrument)
    assert source.history().symbols == ("A",)
    with pytest.raises(MissingMandatoryValue):
        _ = compose(repository, "parquet").data.root


def test_synthetic(repository: Path) -> None:
    source = instantiate(compose(repository, "synthetic").data)
    assert isinstance(source, SyntheticSource)
    assert (source.days, source.n_symbols, source.edge) == (60, 10, 1.0)
    assert isinstance(source.instrument, Instrument)


def test_importing_the_room_is_light() -> None:
    heavy = ("pandas", "torch", "vectorbt", "xgboost", "lightgbm", "sklearn", "scipy.stats", "optuna")
    code = f"import sys, quantlab.data; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
