"""The registry as a person reads it."""

from __future__ import annotations

import json
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from quantlab.core.errors import ArtifactError
from quantlab.jobs.output.console import terminal_table
from quantlab.learning.registry.manifest import read_manifest
from quantlab.learning.registry.status import Status, status
from quantlab.learning.registry.store import Registry

_COLOURS = {Status.ACTIVE: "green", Status.QUARANTINED: "red", Status.SHADOW: "cyan"}
#: Manifests hold all of them; a person asks first for these.
_HIDDEN = ("feature_names", "feature_definitions", "settings", "ensemble", "together")


def versions_table(registry: Registry) -> Table:
    """Every version with its status, its out-of-sample numbers and the last thing that happened to it."""
    history = registry.history()
    title = f"{registry.root}: {len(registry.versions())} versions"
    if history.ignored:
        title += f"; {history.ignored} lines of the audit log were never carried out"
    head = ("version", "status", "log loss", "AUC", "last event")
    table = terminal_table(*head, whole=("version", "status"), numbers=("log loss", "AUC"), title=title)
    for version in registry.versions():
        found, last = status(history, version), history.of(version)[-1]
        happened = f"{last.event}, {last.time}: {last.reason}"
        colour = _COLOURS.get(found, "default")
        table.add_row(version, Text(found, style=colour), *_scores(registry, version), happened)
    return table


def _scores(registry: Registry, version: str) -> tuple[RenderableType, RenderableType]:
    """Looking does not judge: a damaged version is shown as such, and quarantined by whoever loads it."""
    try:
        metrics = read_manifest(registry.folder, version)[0].metrics
    except ArtifactError:
        return Text("damaged", style="red"), ""
    return _number(metrics.get("log_loss")), _number(metrics.get("auc"))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def facts_table(version: str, registry: Registry) -> Table:
    """The verified manifest of one version, and its records in the audit log."""
    facts = registry.describe(version)
    table = terminal_table("fact", "value", title=f"{version}: {registry.status(version)}")
    for name, value in facts.items():
        if name not in _HIDDEN:
            table.add_row(name, _text(value))
    weights = (facts["ensemble"] or {}).get("weights", ())
    for peer, weight in zip(facts["together"], weights, strict=False):
        table.add_row("tested with", f"{peer}, weight {weight:.3f}")
    for record in registry.history().of(version):
        table.add_row(record.time, f"{record.event}: {record.reason}")
    return table


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(
            f"{key}: {_text(one) if not isinstance(one, dict) else json.dumps(one)}" for key, one in value.items()
        )
    return str(value)


def moves_table(before: dict[str, str], after: dict[str, str]) -> Table:
    """Versions that served before and that serve now, member by member."""
    table = terminal_table("member", "before", "now", whole=(), title="in service")
    for member in sorted({*before, *after}):
        table.add_row(member, before.get(member, "-"), after.get(member, "-"))
    return table
