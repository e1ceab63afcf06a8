"""The contract table: a bump of ccxt that sends or raises anything else must change the table in the same commit."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def measured():
    spec = importlib.util.spec_from_file_location("ccxt_table", HERE / "ccxt_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.measure()


@pytest.mark.parametrize("part", ["ccxt", "requests", "faults of POST order", "codes"])
def test_the_locked_ccxt_sends_and_raises_what_the_table_says(measured, part: str) -> None:
    kept = json.loads((HERE / "ccxt_contract.json").read_text())
    assert measured[part] == kept[part], "python tests/simulator/surface/ccxt_table.py"


def test_no_order_is_ever_sent_twice(measured) -> None:
    assert {fault["posts"] for fault in measured["faults of POST order"].values()} == {1}
