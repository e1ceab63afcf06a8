"""The configured venue: every number stands in its yaml, and ccxt knows every call."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import ccxt.async_support as ccxt
from hydra import compose, initialize_config_dir

from quantlab.venue.binance import Binance
from quantlab.venue.budget import BudgetRules
from quantlab.venue.ccxt_venue import CcxtVenue
from quantlab.venue.clock import ClockRules
from quantlab.venue.connection import ReadRules
from quantlab.venue.preflight import PreflightRules
from quantlab.venue.stream import StreamRules


def test_both_venues_differ_in_addresses_and_names_of_keys_alone(repository: Path, venue_node: Any) -> None:
    with initialize_config_dir(str(repository / "conf"), version_base=None):
        real = compose("config", overrides=["execution/venue=binanceusdm"]).execution.venue
    assert (real.adapter.rest, real.adapter.stream_base) == (None, None)
    assert venue_node.adapter.rest.startswith("http://127.0.0.1:")
    assert venue_node.adapter.stream_base.startswith("ws://127.0.0.1:")
    assert real.adapter["keys"]["key"] == "QUANTLAB_BINANCE_KEY"
    own = ("rest", "stream_base", "keys")
    assert {k: v for k, v in real.adapter.items() if k not in own} == {
        k: v for k, v in venue_node.adapter.items() if k not in own
    }
    assert {k: v for k, v in real.items() if k != "adapter"} == {k: v for k, v in venue_node.items() if k != "adapter"}


def test_no_setting_has_a_value_that_the_configuration_does_not_show() -> None:
    for kind in (Binance, BudgetRules, ClockRules, ReadRules, StreamRules, PreflightRules, CcxtVenue):
        given = [p.name for p in inspect.signature(kind).parameters.values() if p.default is not p.empty]
        assert given in ([], ["within"]), kind


def test_ccxt_knows_every_raw_call_and_only_binances_files_name_one(repository: Path) -> None:
    client, found = ccxt.binanceusdm(), set()
    for path in sorted((repository / "quantlab" / "venue").glob("*.py")):
        calls = set(re.findall(r'"((?:fapi|sapi)\w*(?:Get|Post|Put)\w+)"', path.read_text()))
        assert not calls or path.name.startswith("binance"), path
        found |= calls
    assert len(found) == 16
    assert all(callable(getattr(client, name)) for name in found)


def test_the_venues_own_addresses_stay_where_no_other_is_given() -> None:
    client, dialect = ccxt.binanceusdm(), Binance("USDT", 200)
    assert dialect.point(client, None) == "fapi.binance.com"
    assert dialect.stream_url(None, "a b").startswith("wss://fstream.binance.com/private/ws?listenKey=a%20b")
    assert dialect.point(client, "http://127.0.0.1:1/") == "127.0.0.1:1"
    texts = [text for text in client.urls["api"].values() if isinstance(text, str)]
    assert all(text.startswith("http://127.0.0.1:1/") for text in texts), "no request can go elsewhere"
    assert client.urls["api"]["sapi"] == "http://127.0.0.1:1/sapi/v1"
