"""Overrides in a manifest: as typed, and no secret in them, also with the backslashes of a multirun."""

from __future__ import annotations

import re

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from quantlab.jobs.output.asked_for import shown_overrides


@pytest.mark.parametrize(
    "typed",
    [
        "++job.settings.password=canary-two",
        "data.exchange.api_key=canary-one",
        "+a.secret={user: canary-u, list: [canary-l]}",
        "++job.fallback=${oc.env:NOT_SET,canary-default}",
        "++job.url='https://u:canary-login@h/'",
        "++job.note='my password=canary-note'",
        "++job.header={Authorization: 'Bearer canary-header'}",
    ],
)
def test_no_secret_is_left(typed: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([typed])
    escaped = f"{override.get_key_element()}={override.get_value_element_as_str()}"  # as a multirun passes it on
    shown = shown_overrides([typed, escaped])
    assert not re.search("canary", "".join(shown))
    assert all("[hidden]" in text for text in shown)


def test_what_is_no_secret_stays_as_it_was_typed() -> None:
    plain = [
        "seed=3",
        "history.start=2025-01-07T00:00:00",
        "sweep.space={policy.stop_atr:[1.0,2.0]}",
        "~learning.tuning",
    ]
    assert shown_overrides(plain) == plain
    assert shown_overrides([r"history.start=2025-01-07T00\:00\:00"]) == ["history.start=2025-01-07T00:00:00"]
