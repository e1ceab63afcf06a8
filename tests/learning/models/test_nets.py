"""The network members on a market whose returns can be foreseen a little, and the traps of their libraries.

What every member owes (contract, files, silence, determinism) is asked in ``test_models``.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import random
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MQLoss
from neuralforecast.models import nhits, patchtst
from safetensors import safe_open
from safetensors.torch import save

from quantlab.core.errors import ArtifactError, ConfigError, ContractError, HistoryError, InstallationError
from quantlab.core.types import Dataset, Features
from quantlab.learning.ensemble.scores import directional_auc
from quantlab.learning.models import net_forecast, net_training
from quantlab.learning.models.artifact import write_member
from quantlab.learning.models.fitted_net import MODEL_FILE, FittedNet, weights
from quantlab.learning.models.net_recipe import NetRecipe
from quantlab.learning.models.nhits import NHITS
from quantlab.learning.models.patchtst import PatchTST
from quantlab.learning.models.torch_state import seeded_torch
from quantlab.learning.models.windows import WindowTable, complete_rows

MEMBERS = ("nhits", "patchtst")
T, S, H, L = 1_800, 4, 12, 32
FIT, VALID, TEST = slice(0, 900), slice(900, 1_300), slice(1_300, T)
BAR_MS = 300_000


def recipe(member: str, **changes: Any) -> NetRecipe:
    common: dict[str, Any] = {
        "name": member,
        "input_bars": L,
        "quantiles": (0.1, 0.25, 0.5, 0.75, 0.9),
        "max_steps": 120,
        "batch_windows": 128,
        "learning_rate": 0.003,
        "check_every_steps": 20,
        "patience_checks": 3,
        "stopping_windows": 1_000,
        "calibrator_fraction": 0.5,
        "calibrator_penalty": 0.01,
        "seed": 3,
        "threads": 1,
        "device": "cpu",
        "dropout": 0.05,
    }
    if member == "nhits":
        own: dict[str, Any] = {"exogenous": ("x",), "hidden_units": 16, "pool_bars": (4, 1), "downsampling": (4, 1)}
        return NHITS(**{**common, **own, **changes})
    own = {"patch_bars": 8, "stride_bars": 8, "layers": 1, "heads": 2, "hidden_units": 16}
    return PatchTST(**{**common, **own, **changes})


@cache
def world(edge: float = 1.0) -> Dataset:
    """Returns driven by a slow hidden state that past returns show; symbols a thousandfold apart in size."""
    rng = np.random.default_rng(2)
    size = np.array([1e-4, 1e-3, 1e-2, 1e-1])
    state, steps = np.zeros(S), np.empty((T + H, S))
    for t in range(T + H):
        steps[t] = (edge * state + rng.normal(size=S)) * size
        state = 0.9 * state + np.sqrt(1 - 0.81) * rng.normal(size=S)
    steps = steps.astype(np.float32)
    forward = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(steps[1:], H, axis=0)[:T])
    total = forward.sum(axis=2) / size
    label = np.digitize(total, [-2.5, 2.5]).astype(np.int8)
    ready = np.ones((T, S), bool)
    ready[700:705, 2] = False
    values = np.stack([steps[:T], rng.normal(size=(T, S))], axis=2).astype(np.float32)
    values[~ready] = np.nan
    open_time_ms = 1_700_000_100_000 + BAR_MS * np.arange(T, dtype=np.int64)
    return Dataset(
        features=Features(values, ready, ("ret_1", "x"), "of the tests"),
        label=np.where(ready, label, -1).astype(np.int8),
        weight=np.full((T, S), 0.1, np.float32),
        known_at_ms=np.repeat(open_time_ms[:, None] + (H + 1) * BAR_MS, S, axis=1),
        forward_returns=forward,
        open_time_ms=open_time_ms,
        mask=ready,
    )


def rows_of(dataset: Dataset, rows: slice) -> Dataset:
    """The masked rows of a part, purged as the splits do it."""
    mask = np.zeros_like(dataset.mask)
    mask[rows] = dataset.mask[rows]
    if rows.stop < T:
        mask &= dataset.known_at_ms <= dataset.open_time_ms[rows.stop]
    return dataset.with_mask(mask)


def fit(member: str, dataset: Dataset, **changes: Any) -> FittedNet:
    one: Any = recipe(member, **changes)
    fitted_one: FittedNet = one.fit(rows_of(dataset, FIT), rows_of(dataset, VALID))
    return fitted_one


@cache
def fitted(member: str) -> FittedNet:
    return fit(member, world())


def quantiles(one: FittedNet, features: Features) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index, forecast (N, H, Q) and scaled last return (N,) of every complete row of the test part."""
    complete = complete_rows(features.ready, L)
    complete[: TEST.start] = False
    index = np.flatnonzero(complete)
    table = WindowTable.of(features, one.recipe.columns, one.moments, L)
    return index, net_forecast.forecast(one.network, table, index), table.gather(index).returns[:, -1]


def auc_and_losses(one: FittedNet, dataset: Dataset) -> tuple[float, float, float, float]:
    """Out of sample: directional AUC, its standard error, log loss, and that of the class shares."""
    proba = one.predict_proba(dataset.features)
    rows = np.zeros_like(dataset.mask)
    rows[TEST] = dataset.mask[TEST]
    auc = directional_auc(proba, dataset.label, rows, dataset.open_time_ms, bootstrap_samples=200, seed=1)
    assert auc.value is not None
    assert auc.se is not None
    label = dataset.label[rows]
    loss = -np.log(proba[rows][np.arange(len(label)), label]).mean()
    shares = np.bincount(label, minlength=3) / len(label)
    return auc.value, auc.se, float(loss), float(-(shares * np.log(shares)).sum())


@pytest.mark.parametrize("member", MEMBERS)
class TestEveryNet:
    def test_beats_noise_on_a_planted_edge(self, member: str) -> None:
        auc, se, loss, entropy = auc_and_losses(fitted(member), world())
        assert auc > 0.5 + 2 * se
        assert loss < entropy - 0.02

    def test_finds_nothing_where_the_future_was_shuffled(self, member: str) -> None:
        dataset = world()
        moved = np.random.default_rng(4).permutation(T)
        shuffled = dataclasses.replace(
            dataset,
            label=np.where(dataset.mask, np.maximum(dataset.label[moved], 0), -1).astype(np.int8),
            forward_returns=np.ascontiguousarray(dataset.forward_returns[moved]),
        )
        auc, se, loss, entropy = auc_and_losses(fit(member, shuffled), shuffled)
        assert abs(auc - 0.5) < 2 * se
        assert loss > entropy - 0.005

    def test_every_weight_moved(self, member: str) -> None:
        """A library that trains a copy leaves its caller's network as it was."""
        with seeded_torch(3, 1):
            before = weights(recipe(member).network(H))
        after = weights(fitted(member).network)
        assert before.keys() == after.keys()
        fixed = {name for name, tensor in fitted(member).network.named_parameters() if not tensor.requires_grad}
        assert {name for name in before if torch.equal(before[name], after[name])} <= fixed

    def test_the_forecast_is_not_the_last_return(self, member: str) -> None:
        index, forecast, last = quantiles(fitted(member), world().features)
        table = WindowTable.of(world().features, ("ret_1",), fitted(member).moments, L)
        actual = world().forward_returns.reshape(-1, H)[index] / table.scale(index)[:, None]
        median = forecast[:, :, 2]
        assert np.abs(median - last[:, None]).mean() > 0.5
        assert np.abs(actual - median).mean() < 0.85 * np.abs(actual - last[:, None]).mean()
        assert np.abs(actual - median).mean() < np.abs(actual).mean()

    def test_quantiles_cover_what_they_say(self, member: str) -> None:
        index, forecast, _ = quantiles(fitted(member), world().features)
        table = WindowTable.of(world().features, ("ret_1",), fitted(member).moments, L)
        actual = world().forward_returns.reshape(-1, H)[index] / table.scale(index)[:, None]
        covered = (actual[:, :, None] < forecast).mean(axis=(0, 1))
        np.testing.assert_allclose(covered, recipe(member).quantiles, atol=0.04)

    def test_dropout_is_off_after_fitting_and_after_loading(self, member: str, tmp_path: Path) -> None:
        fitted(member).save(tmp_path)
        for one in (fitted(member), type(fitted(member)).load(tmp_path)):
            assert any(isinstance(part, torch.nn.Dropout) and part.p > 0 for part in one.network.modules())
            assert not any(part.training for part in one.network.modules())

    def test_a_row_has_the_same_bits_alone_and_in_any_company(self, member: str) -> None:
        features, one = world().features, fitted(member)
        whole = one.predict_proba(features)
        for t in (L - 1, 1_500, T - 1):
            np.testing.assert_array_equal(one.predict_proba(features.rows(t - L + 1, t + 1))[-1], whole[t])
        for order in ([2], [3, 0], [1, 3, 2, 0]):
            some = dataclasses.replace(
                features,
                values=np.ascontiguousarray(features.values[:, order]),
                ready=np.ascontiguousarray(features.ready[:, order]),
            )
            np.testing.assert_array_equal(one.predict_proba(some), whole[:, order])

    def test_the_network_always_sees_one_block_of_one_shape(self, member: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Bits of a matrix product may depend on its shape, so the shape never changes."""
        seen: list[int] = []
        convert = net_forecast.to_tensors
        monkeypatch.setattr(net_forecast, "to_tensors", lambda batch: seen.append(len(batch.scale)) or convert(batch))
        fitted(member).predict_proba(world().features.rows(0, 100))
        assert set(seen) == {net_forecast.BLOCK_WINDOWS}
        assert len(seen) == -(-(100 - L + 1) * S // net_forecast.BLOCK_WINDOWS)

    def test_a_symbols_scale_cannot_be_seen(self, member: str) -> None:
        """Exactly for powers of two; for other factors up to rounding. Also while fitting."""
        dataset = world()
        exact = scaled(dataset, np.array([2.0**-9, 1.0, 2.0**12, 0.5]))
        whole = fitted(member).predict_proba(dataset.features)
        np.testing.assert_array_equal(fitted(member).predict_proba(exact.features), whole)
        refitted = fit(member, exact)
        np.testing.assert_array_equal(refitted.predict_proba(exact.features), whole)
        other = scaled(dataset, np.array([0.01, 3.7, 123.4, 1.0])).features
        np.testing.assert_allclose(fitted(member).predict_proba(other), whole, atol=2e-5)

    # Lightning asks PyTorch for tree specs by a class that PyTorch is retiring.
    @pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
    def test_agrees_with_the_library_on_the_same_weights(self, member: str, tmp_path: Path) -> None:
        _, ours, _ = quantiles(fitted(member), world().features)
        theirs = by_library(fitted(member), world().features, tmp_path)
        picked = np.linspace(0, len(ours) - 1, len(theirs)).astype(int)
        np.testing.assert_allclose(ours[picked], theirs, atol=1e-6)
        assert theirs.std() > 0.1

    def test_a_stride_counts_back_from_the_last_row(self, member: str) -> None:
        features = world().features.rows(1_300, 1_500)
        whole, some = fitted(member).predict_proba(features), fitted(member).predict_every(features, 7)
        present = np.isfinite(some).all(axis=2)
        np.testing.assert_array_equal(some[present], whole[present])
        assert np.flatnonzero(present.any(axis=1))[-2:].tolist() == [192, 199]
        assert set(np.diff(np.flatnonzero(present.any(axis=1)))) == {7}

    def test_nothing_is_learned_from_what_was_not_known(self, member: str) -> None:
        """Returns that end after their part did; labels that stopping sees, returns that the calibrator sees."""
        dataset = world()
        early = dataclasses.replace(dataset, known_at_ms=dataset.known_at_ms - 8 * BAR_MS)
        forward, label = early.forward_returns.copy(), early.label.copy()
        for stop in (FIT.stop, VALID.stop):
            for h in range(H):
                forward[stop - h - 1 : stop, :, h] = 9.0
        forward[1_150 : VALID.stop] = -9.0
        label[VALID.start : 1_050] = 2
        changed = dataclasses.replace(
            early, forward_returns=forward, label=np.where(early.mask, label, -1).astype("i1")
        )
        quick = {"max_steps": 40}
        first = fit(member, early, **quick).predict_proba(dataset.features)
        np.testing.assert_array_equal(fit(member, changed, **quick).predict_proba(dataset.features), first)
        forward = early.forward_returns.copy()
        forward[600:620] *= -1
        seen = dataclasses.replace(early, forward_returns=forward)
        assert not np.array_equal(fit(member, seen, **quick).predict_proba(dataset.features), first, equal_nan=True)

    def test_the_best_weights_are_kept(self, member: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """As if training had been asked for exactly as many steps as were best."""
        losses: list[float] = []
        compute = net_training._stopping_loss
        monkeypatch.setattr(net_training, "_stopping_loss", lambda *given: losses.append(compute(*given)) or losses[-1])
        hasty = {"learning_rate": 0.02, "max_steps": 200, "check_every_steps": 10, "patience_checks": 3}
        longer = fit(member, world(), **hasty)
        best = int(np.argmin(losses))
        assert 0 < best == len(losses) - 4 < 16
        exact = fit(member, world(), **{**hasty, "max_steps": 10 * (best + 1)})
        features = world().features
        np.testing.assert_array_equal(exact.predict_proba(features), longer.predict_proba(features))

    def test_a_loss_that_is_never_finite_is_refused(self, member: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(net_training, "_stopping_loss", lambda *_: float("nan"))
        with pytest.raises(ConfigError, match=f"{member}.learning_rate"):
            fit(member, world(), max_steps=20)

    def test_the_process_is_left_as_it_was(self, member: str, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
        def state() -> list[Any]:
            legacy = np.random.get_state()  # noqa: NPY002
            return [
                random.getstate(),
                legacy[1].tolist(),
                torch.get_rng_state().tolist(),
                torch.get_num_threads(),
                {name: value for name, value in os.environ.items() if name.startswith("PL_")},
                logging.getLogger("lightning_fabric.utilities.seed").level,
            ]

        before = state()
        with caplog.at_level(logging.INFO):
            one = fit(member, world(), max_steps=20, threads=2)
            one.save(tmp_path)
            type(one).load(tmp_path).predict_proba(world().features.rows(0, 100))
        assert state() == before
        assert caplog.text == ""

    def test_threads_are_the_configurations(self, member: str, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []
        block = net_forecast._pad_block
        monkeypatch.setattr(
            net_forecast, "_pad_block", lambda batch: seen.append(torch.get_num_threads()) or block(batch)
        )
        outside = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            fitted(member).predict_proba(world().features.rows(0, 100))
            assert set(seen) == {1}
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(outside)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    def test_never_uses_the_cpu_where_cuda_was_asked(self, member: str) -> None:
        with pytest.raises(InstallationError, match="it would use 'cpu'"):
            fit(member, world(), device="cuda")

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
    def test_trains_on_cuda_and_speaks_on_the_cpu(self, member: str) -> None:
        auc, se, loss, entropy = auc_and_losses(fit(member, world(), device="cuda"), world())
        assert auc > 0.5 + 2 * se
        assert loss < entropy - 0.02

    def test_columns_that_are_not_there_are_refused(self, member: str) -> None:
        features = dataclasses.replace(world().features, names=("ret_5", "y"))
        with pytest.raises(ContractError, match=r"ret_1|'x'"):
            fit(member, dataclasses.replace(world(), features=features))

    def test_too_short_a_past_is_refused(self, member: str) -> None:
        with pytest.raises(HistoryError, match=r"rows to fit on.*1500 ready bars"):
            fit(member, world(), input_bars=1_500)

    def test_a_file_of_another_network_is_refused(self, member: str, tmp_path: Path) -> None:
        """Whole by its hash, and still not what its header says."""
        fitted(member).save(tmp_path)
        path = tmp_path / MODEL_FILE
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["quantlab"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        strange = {**header["recipe"], "unheard_of": 1}
        wider = {**header["recipe"], "hidden_units": 32}
        for bad in ({**header, "recipe": strange}, {**header, "recipe": wider}, {**header, "horizon": 24}, {}):
            reseal(fitted(member), tmp_path, save(tensors, metadata={"quantlab": json.dumps(bad)}))
            with pytest.raises(ArtifactError, match="a file that it refuses"):
                type(fitted(member)).load(tmp_path)
        fewer = {name: tensor for name, tensor in tensors.items() if "mean" not in name}
        reseal(fitted(member), tmp_path, save(fewer, metadata={"quantlab": json.dumps(header)}))
        with pytest.raises(ArtifactError, match="a file that it refuses"):
            type(fitted(member)).load(tmp_path)
        reseal(fitted(member), tmp_path, b"not safetensors")
        with pytest.raises(ArtifactError, match="a file that it refuses"):
            type(fitted(member)).load(tmp_path)

    @pytest.mark.parametrize(
        "change",
        [
            {"input_bars": 1},
            {"max_steps": 0},
            {"learning_rate": 0.0},
            {"patience_checks": 0},
            {"threads": 0},
            {"calibrator_fraction": 1.0},
            {"calibrator_penalty": 0.0},
            {"quantiles": (0.1, 0.5, 0.8)},
            {"seed": -1},
            {"device": "tpu"},
            {"dropout": 1.0},
            {"hidden_units": 0},
        ],
    )
    def test_impossible_settings_are_refused(self, member: str, change: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=member):
            recipe(member, **change)


def scaled(dataset: Dataset, factor: np.ndarray) -> Dataset:
    """Every return of a symbol, past and future, times its factor."""
    values = dataset.features.values.copy()
    values[:, :, 0] *= factor.astype(np.float32)
    forward = dataset.forward_returns * factor.astype(np.float32)[:, None]
    return dataclasses.replace(
        dataset, features=dataclasses.replace(dataset.features, values=values), forward_returns=forward
    )


def by_library(one: FittedNet, features: Features, folder: Path) -> np.ndarray:
    """float32 (32, H, Q): ``NeuralForecast.predict`` with our weights, every window as a series of its own."""
    complete = complete_rows(features.ready, L)
    complete[: TEST.start] = False
    index = np.flatnonzero(complete)
    index = index[np.linspace(0, len(index) - 1, 32).astype(int)]
    batch = WindowTable.of(features, one.recipe.columns, one.moments, L).gather(index)
    rng = np.random.default_rng(0)
    exogenous = list(one.recipe.columns[1:])
    to_fit = frame(rng.normal(size=(2, L + 3 * H)), rng.normal(size=(2, L + 3 * H, len(exogenous))), exogenous)
    common: dict[str, Any] = {
        "h": H,
        "input_size": L,
        "loss": MQLoss(quantiles=list(one.recipe.quantiles)),
        "max_steps": 1,
        "val_check_steps": 1,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": str(folder),
    }
    library: Any
    if isinstance(one.recipe, NHITS):
        library = nhits.NHITS(
            stack_types=["identity"] * 2,
            n_blocks=[1, 1],
            mlp_units=[[16, 16]] * 2,
            n_pool_kernel_size=[4, 1],
            n_freq_downsample=[4, 1],
            dropout_prob_theta=0.05,
            hist_exog_list=exogenous,
            **common,
        )
    else:
        library = patchtst.PatchTST(
            patch_len=8,
            stride=8,
            encoder_layers=1,
            n_heads=2,
            hidden_size=16,
            linear_hidden_size=32,
            revin=False,
            **common,
        )
    with seeded_torch(0, 1):
        forecaster = NeuralForecast(models=[library], freq=1)
        forecaster.fit(to_fit)
        forecaster.models[0].load_state_dict(weights(one.network), strict=False)
        said = forecaster.predict(frame(batch.returns, batch.exogenous, exogenous))
    levels = [name for name in said.columns if name not in ("unique_id", "ds")]
    forecast: np.ndarray = said[levels].to_numpy(np.float32).reshape(32, H, len(levels))
    return forecast


def frame(returns: np.ndarray, exogenous: np.ndarray, names: list[str]) -> pd.DataFrame:
    """Series (N, L) as the library takes them."""
    n, length = returns.shape
    columns = {name: exogenous[:, :, c].reshape(-1) for c, name in enumerate(names)}
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(n), length),
            "ds": np.tile(np.arange(length), n),
            "y": returns.reshape(-1).astype(np.float32),
            **columns,
        }
    )


def reseal(one: FittedNet, folder: Path, payload: bytes) -> None:
    """A card that vouches for `payload`."""
    write_member(
        folder,
        library="torch",
        file=MODEL_FILE,
        payload=payload,
        threads=1,
        contract=one.contract,
        golden_inputs=one.golden,
        golden_outputs=one.classify_golden(),
    )


def test_batches_are_epochs_without_repeats() -> None:
    batches = list(net_training._batches(10, recipe("nhits", batch_windows=4, max_steps=6)))
    assert [len(batch) for batch in batches] == [4] * 6
    for one, other in pairwise(batches[i] for i in (0, 1)):
        assert not set(one) & set(other)
    assert len(set(np.concatenate(batches))) == 10
    again = list(net_training._batches(10, recipe("nhits", batch_windows=4, max_steps=6)))
    np.testing.assert_array_equal(np.concatenate(again), np.concatenate(batches))
    assert [len(batch) for batch in net_training._batches(3, recipe("nhits", batch_windows=4, max_steps=2))] == [3, 3]


def test_shapes_that_do_not_fit_are_refused() -> None:
    for changes in ({"pool_bars": (4,)}, {"pool_bars": (), "downsampling": ()}, {"pool_bars": (0, 1)}):
        with pytest.raises(ConfigError, match="nhits"):
            recipe("nhits", **changes)
    for changes in ({"heads": 3}, {"patch_bars": 33}, {"stride_bars": 0}, {"layers": 0}):
        with pytest.raises(ConfigError, match="patchtst"):
            recipe("patchtst", **changes)


def test_trees_alone_never_load_torch() -> None:
    code = (
        "import sys, quantlab.learning.study.walk_forward, quantlab.learning.models.xgboost, quantlab.learning.models.lightgbm;"
        "sys.exit(any(name.split('.')[0] in ('torch', 'neuralforecast') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
