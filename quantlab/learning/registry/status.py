"""Status of versions, and the releases that a move leads to, derived from the audit log.

A *release* is the whole of what serves: one version per member. Versions that were tested together serve
together or not at all, because the ensemble's weights and temperature were fitted over all of them.
"""

from __future__ import annotations

from enum import StrEnum

from quantlab.core.errors import ConfigError
from quantlab.learning.registry.log import History, Release


class Status(StrEnum):
    """Status of a version."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"
    ACTIVE = "active"
    RETIRED = "retired"
    QUARANTINED = "quarantined"


def registered_versions(history: History) -> dict[str, frozenset[str]]:
    """Every version whose registration was completed, with all those that were tested together with it."""
    return {
        version: frozenset(record.versions)
        for record in history.records
        if record.event == "register"
        for version in record.versions
    }


def quarantined_versions(history: History) -> frozenset[str]:
    """Versions that may not be loaded."""
    out: set[str] = set()
    for record in history.records:
        if record.event == "quarantine":
            out.update(record.versions)
        elif record.event == "restore":
            out.difference_update(record.versions)
    return frozenset(out)


def status(history: History, version: str) -> Status:
    """Status of a version that is stored: the newest thing that the log says of it."""
    if version in quarantined_versions(history):
        return Status.QUARANTINED
    if version in history.active.values():
        return Status.ACTIVE
    found = Status.CANDIDATE
    for record in history.records:
        if version in record.active.values():
            found = Status.RETIRED
        elif version in record.versions and record.event == "shadow":
            found = Status.SHADOW
    return found


def releases(history: History) -> list[Release]:
    """Releases that have served and can be gone back to, oldest first; the last is the one that serves now."""
    stack: list[Release] = [{}]
    for record in history.records:
        if record.event == "promote":
            stack.append(record.active)
        elif record.active != stack[-1]:
            while stack and stack[-1] != record.active:
                stack.pop()
            stack = stack or [{}, record.active]
    return stack


def release_after(history: History, chosen: Release) -> Release:
    """The release after registered versions, `chosen` as member -> version, came into service.

    Versions of other members stay, but for those that were tested with one that is replaced.

    Raises
    ------
    ConfigError
        If a chosen version would serve without one that it was tested with.
    """
    together = registered_versions(history)
    after = {**history.active, **chosen}
    kept = {m: v for m, v in after.items() if m in chosen or together[v] <= set(after.values())}
    for version in chosen.values():
        absent = sorted(together[version] - set(kept.values()))
        if absent:
            raise ConfigError(
                f"{version} to serve beside the versions it was tested with",
                found=f"no {', '.join(absent)}",
                fix=f"promote them together: job.version={version.rpartition('_v')[2]} and no job.model",
            )
    return kept


def earlier_release(history: History, but: frozenset[str] = frozenset()) -> Release | None:
    """The newest earlier release, other than what serves, without quarantined versions or those in `but`."""
    out = quarantined_versions(history) | but
    older = (release for release in reversed(releases(history)[:-1]) if release and release != history.active)
    return next((release for release in older if not out & set(release.values())), None)


def release_without(history: History, version: str) -> Release:
    """Release that serves once `version` may not: an earlier one, or the rest that does not depend on it."""
    active = history.active
    if version not in active.values():
        return active
    rest = {member: one for member, one in active.items() if one not in registered_versions(history)[version]}
    return earlier_release(history, frozenset({version})) or rest
