"""Rows about the network members: forecasts of every bar against the library's own, and memory of training."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
from measure import Row
from nets_data import HORIZON, dataset, member, rows
from neuralforecast import NeuralForecast
from peak import peak_bytes

SYMBOLS = 100
#: 91 days of 5 minutes.
BARS = 26_208
#: Rolled over by both; rates do not depend on it.
FORECAST_BARS = 196
REPEATS = 3


def net_rows() -> list[Row]:
    """Every row about networks."""
    logging.disable(logging.WARNING)  # Lightning says what it found on every call
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*treespec", module="pytorch_lightning")
            return _rows()
    finally:
        logging.disable(logging.NOTSET)


def _rows() -> list[Row]:
    return [*(forecast_row(name) for name in ("nhits", "patchtst")), *(memory_row(n) for n in ("nhits", "patchtst"))]


def forecast_row(name: str) -> Row:
    """One forecast for every bar of 100 symbols, ours against ``NeuralForecast.predict_insample(step_size=1)``."""
    data = dataset(FORECAST_BARS + 200, SYMBOLS)
    recipe = member(name, max_steps=5, check_every_steps=5)
    fitted = recipe.fit(rows(data, 0, 250), rows(data, 250, FORECAST_BARS + 180))
    features = data.features.rows(0, FORECAST_BARS)
    windows = (FORECAST_BARS - recipe.input_bars + 1) * SYMBOLS
    library = _library(recipe, features)
    ours, theirs = [], []
    for _ in range(REPEATS):
        ours.append(_seconds(lambda: fitted.predict_proba(features)))
        theirs.append(_seconds(lambda: library.predict_insample(step_size=1)))
    # Per window that is forecast: the library also starts inside its padding, and that counts for it.
    mine, its = windows / median(ours), FORECAST_BARS * SYMBOLS / median(theirs)
    return Row(
        f"{name}: forecasts of every bar, {SYMBOLS} symbols",
        f"{mine:,.0f} windows/s",
        f"NeuralForecast rolling {its:,.0f} windows/s",
        its / mine,
    )


def memory_row(name: str) -> Row:
    """Training on 100 symbols x 91 days: what it needs beside the data, against the data."""
    here = Path(__file__)
    data_only, trained = peak_bytes(here, "none"), peak_bytes(here, name)
    size = BARS * SYMBOLS * 49 * 4
    return Row(
        f"{name}: memory of training, {SYMBOLS} symbols x 91 days",
        f"{(trained - data_only) / 1e6:.0f} MB beside the data",
        f"the features, {size / 1e6:.0f} MB",
        (trained - data_only) / size,
    )


def _library(recipe: Any, features: Any) -> Any:
    """The same network inside ``NeuralForecast``, fitted for one step."""
    network = recipe.network(HORIZON)
    network.trainer_kwargs = {
        "max_steps": 1,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    exogenous = list(recipe.columns[1:])
    n_bars, n_symbols = features.ready.shape
    columns = {n: features.column(n).T.reshape(-1) for n in exogenous}
    frame = pd.DataFrame(
        {
            "unique_id": [s for s in range(n_symbols) for _ in range(n_bars)],
            "ds": list(range(n_bars)) * n_symbols,
            "y": features.column("ret_1").T.reshape(-1),
            **columns,
        }
    )
    library = NeuralForecast(models=[network], freq=1)
    library.fit(frame)
    return library


def _seconds(work: Any) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def _train(name: str) -> None:
    """In a process of its own: the data, and a network that is trained on it (or only loaded)."""
    data = dataset(BARS, SYMBOLS)
    train, valid = rows(data, 0, int(0.7 * BARS)), rows(data, int(0.7 * BARS), int(0.85 * BARS))
    recipe = member("nhits" if name == "none" else name, max_steps=60)
    if name != "none":
        recipe.fit(train, valid)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    _train(sys.argv[1])
