"""Shapes of what runs and bundles say in their files."""

from __future__ import annotations

from quantlab.core.shape import NUMBER, TEXT, WHOLE, ListOf, MapOf, MaybeEmpty
from quantlab.learning.artifacts.member_facts import ENSEMBLE_SHAPE

_MEMBER = {"origin": TEXT, "sha256": TEXT}
#: What a run says of its market, members, features and code; a bundle says it again.
TESTED_SHAPE = {
    "models": MaybeEmpty({"members": MapOf(_MEMBER), "ensemble": ENSEMBLE_SHAPE}),
    "market": {"symbols": ListOf(TEXT), "interval_ms": WHOLE},
    "costs": MapOf(MapOf(NUMBER)),
    "features": {"names": ListOf(TEXT), "definitions": MapOf(TEXT)},
    "rooms": MapOf(TEXT),
    "feature_fingerprint": TEXT,
    "strategy_fingerprint": TEXT,
}
NODE = {"_target_": TEXT}
#: A strategy as it is configured.
STRATEGY_SHAPE = {**NODE, "policy": NODE, "sizer": NODE, "limits": NODE, "costs": NODE}
