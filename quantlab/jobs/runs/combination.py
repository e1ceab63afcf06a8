"""A combination of a multirun as its folder holds it: what was asked for, what came out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.jobs.output.asked_for import REASON, RUN_MADE
from quantlab.jobs.runs.record import RunRecord, read_record

#: Written when a combination has ended.
OUTCOME = "combination.json"
#: Files of a run that are the same bytes where the two accounts are the same.
_ACCOUNTS = ("orders.parquet", "equity.parquet")


@dataclass(frozen=True)
class Combination:
    """One of a multirun.

    Parameters
    ----------
    number : int
        From 0 on, as Hydra counts.
    settings : dict of key to value
        Overrides as typed.
    objective : float or None
        What its job returned; None = undefined, or no run.
    run : RunRecord or None
    accounts : tuple of str
        Hashes of orders and equity; empty without a run.
    reason : str
        Why it has no run; empty otherwise.
    """

    number: int
    settings: dict[str, str]
    objective: float | None = None
    run: RunRecord | None = None
    accounts: tuple[str, ...] = ()
    reason: str = ""

    def differing(self, keys: Sequence[str]) -> str:
        """Settings of these keys as typed."""
        return " ".join(f"{key}={self.settings[key]}" for key in keys if key in self.settings)


def read_combinations(folder: Path) -> list[Combination]:
    """Read every combination that has ended, by number.

    Parameters
    ----------
    folder : Path
        Of the multirun.
    """
    found = [_read(path.parent) for path in folder.glob(f"*/{OUTCOME}")]
    return sorted(found, key=lambda one: one.number)


def _read(folder: Path) -> Combination:
    outcome = _json(folder / OUTCOME) or {}
    made, refused = _json(folder / RUN_MADE), _json(folder / REASON)
    record = None if made is None else read_record(Path(made["run"]))
    run = None if record is None or record.wrong else record  # a check has a folder too, and no account
    settings = dict(text.partition("=")[::2] for text in outcome.get("overrides", ()))
    reason = "" if refused is None else str(refused["reason"])
    return Combination(
        number=int(outcome.get("number", -1)),
        settings={str(key): str(value) for key, value in settings.items()},
        objective=outcome.get("objective"),
        run=run,
        accounts=() if run is None else _accounts(run.folder),
        reason=reason or str(outcome.get("error") or ""),
    )


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return content


def _accounts(folder: Path) -> tuple[str, ...]:
    files = (_json(folder / "manifest.json") or {}).get("files_sha256", {})
    return tuple(files[name] for name in _ACCOUNTS if name in files)


def differing_keys(combinations: Sequence[Combination]) -> list[str]:
    """Keys whose values are not the same in all of them, in the order in which they were typed."""
    keys = dict.fromkeys(key for one in combinations for key in one.settings)
    return [key for key in keys if len({one.settings.get(key) for one in combinations}) > 1]


def ranked(combinations: Sequence[Combination]) -> list[Combination]:
    """Order them: the largest objective first, undefined ones after them, those without a run last."""

    def place(one: Combination) -> tuple[bool, bool, float, int]:
        undefined = one.objective is None
        return bool(one.reason), undefined, 0.0 if one.objective is None else -one.objective, one.number

    return sorted(combinations, key=place)


def sameness_notes(combinations: Sequence[Combination]) -> list[str]:
    """Sentences on combinations that are the same run: equal orders and equity, byte by byte."""
    made = [one for one in combinations if one.accounts]
    keys = differing_keys(combinations)
    idle = [key for key in keys if _changes_nothing(made, key, keys)]
    notes = [
        f"{key} changed nothing: combinations that differ in it alone are the same run (equal orders, equal equity); "
        "what was run does not read it"
        for key in idle
    ]
    read = [key for key in keys if key not in idle]
    by_accounts: dict[tuple[str, ...], set[str]] = {}
    for one in made:
        by_accounts.setdefault(one.accounts, set()).add(one.differing(read))
    notes += [f"the same run: {'; '.join(sorted(same))}" for same in by_accounts.values() if len(same) > 1]
    return notes


def _changes_nothing(made: Sequence[Combination], key: str, keys: Sequence[str]) -> bool:
    """Tell whether combinations that differ in `key` alone always have the same accounts, and there are any."""
    others = [other for other in keys if other != key]
    groups: dict[str, list[Combination]] = {}
    for one in made:
        groups.setdefault(one.differing(others), []).append(one)
    pairs = [group for group in groups.values() if len({one.settings.get(key) for one in group}) > 1]
    return bool(pairs) and all(len({one.accounts for one in group}) == 1 for group in pairs)
