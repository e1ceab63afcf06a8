"""Keys come from the environment by name, and no text shows a value."""

from __future__ import annotations

from typing import Any

import pytest
from hydra.utils import instantiate

from quantlab.core.errors import ConfigError
from quantlab.core.redaction import redact
from quantlab.venue.keys import KeyNames, read_keys

NAMES = KeyNames("QUANTLAB_A_KEY", "QUANTLAB_A_SECRET")
#: In no shape that a redaction knows by itself.
VALUES = {"QUANTLAB_A_KEY": "quiet-canary-one", "QUANTLAB_A_SECRET": "quiet-canary-two"}


def test_values_come_by_name_and_are_hidden_everywhere() -> None:
    keys = read_keys(NAMES, VALUES)
    assert (keys.key, keys.secret) == tuple(VALUES.values())
    assert "canary" not in f"{keys} {keys!r} {[keys]}"
    assert (
        redact("asked with quiet-canary-one, signed by quiet-canary-two") == "asked with [hidden], signed by [hidden]"
    )


@pytest.mark.parametrize(
    ("environment", "named", "found"),
    [
        ({}, "QUANTLAB_A_KEY", "none"),
        ({"QUANTLAB_A_KEY": "quiet-canary-one"}, "QUANTLAB_A_SECRET", "none"),
        ({**VALUES, "QUANTLAB_A_KEY": "  "}, "QUANTLAB_A_KEY", "an empty one"),
        ({**VALUES, "QUANTLAB_A_SECRET": "quiet canary"}, "QUANTLAB_A_SECRET", "something else"),
    ],
)
def test_a_missing_variable_is_named_and_no_value_is(environment: dict[str, str], named: str, found: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        read_keys(NAMES, environment)
    assert found in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["aB3" * 20, "secret value", "", "x" * 64, 7])
def test_a_key_in_place_of_a_name_is_refused_unseen(name: Any) -> None:
    with pytest.raises(ConfigError, match="name of a variable") as caught:
        KeyNames(name, "QUANTLAB_A_SECRET")
    assert not name or str(name) not in str(caught.value)


def test_nothing_that_can_be_printed_holds_a_key(desk: Any, canaries: Any) -> None:
    desk.run(desk.venue.facts())
    line = desk.venue._line
    shown = f"{desk.venue!r} {desk.venue.budget!r} {desk.venue.time!r} {line!r} {line._listings!r} {line.client()} {desk.venue.stream!r}"
    assert not any(secret in shown for secret in canaries)
    assert not any(secret in redact(str(vars(line.client()))) for secret in canaries[:2])


@pytest.mark.parametrize("setting", ["verbose", "apiKey", "secret", "enableRateLimit", "urls", "proxyUrl", "options"])
def test_settings_that_log_retry_or_hold_a_secret_are_refused(venue_node: Any, setting: str) -> None:
    value = {"maxRetriesOnFailure": 3} if setting == "options" else True
    adapter = {**venue_node.adapter, "settings": {setting: value}}
    with pytest.raises(ConfigError, match="without retries") as caught:
        instantiate(adapter, _convert_="all")(["BTC"], within={"environment": {}})
    assert setting in str(caught.value)


def test_an_adapter_without_its_variables_says_which(venue_node: Any) -> None:
    with pytest.raises(ConfigError, match="QUANTLAB_SIMULATED_KEY"):
        instantiate(venue_node.adapter, _convert_="all")(["BTC"], within={"environment": {}})
