"""Peers that stand beside the checkout: hand-fused kernels, the limit on a machine."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "bench" / "backtest_peers"


def fused_kernels() -> ModuleType | None:
    """``kern.py`` of ``$QUANTLAB_BENCH_PEERS``, else of the folder beside the checkout; None where absent."""
    path = Path(os.environ.get("QUANTLAB_BENCH_PEERS", _BESIDE)) / "kern.py"
    if not path.is_file():
        print(f"skipped: rows against hand-fused kernels need {path}; set QUANTLAB_BENCH_PEERS to its folder")
        return None
    spec = importlib.util.spec_from_file_location("kern", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # numba's cache names the module that a function is of; unlisted, it cannot be read back.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
