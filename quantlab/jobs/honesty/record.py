"""The record of an honesty bench: finished markets, one line each, and the two shares that are made of them.

``worlds.jsonl`` is replaced as a whole after every market, so that it is never half written; its lines are in the
order of (seed, kind), whoever finished first. ``config.yaml`` says what was measured and ``code.json`` by which code
and packages: markets of another configuration or of other code never join them.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from scipy.stats import binomtest

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.files import remove_abandoned, require_writable, write_json, write_text
from quantlab.core.redaction import hide_secret_options
from quantlab.evaluation.verdict.rule import EDGE
from quantlab.jobs.honesty.market_verdict import KINDS, Kind, SyntheticMarket
from quantlab.jobs.output.run_folder import code_and_packages

MARKETS_FILE, SHARES_FILE, CONFIG_FILE, CODE_FILE = "worlds.jsonl", "honesty.json", "config.yaml", "code.json"


@dataclass(frozen=True)
class Share:
    """Share of the markets of a kind with the verdict "edge", and intervals of the true share.

    Parameters
    ----------
    kind : {"no_edge", "planted"}
    markets, edge : int
    wilson, exact : (float, float)
        Two-sided intervals of the true share (Wilson 1927; Clopper and Pearson 1934); 0 to 1 without a market.
    """

    kind: Kind
    markets: int
    edge: int
    wilson: tuple[float, float]
    exact: tuple[float, float]


def shares(records: Sequence[dict[str, Any]], confidence: float) -> tuple[Share, ...]:
    """One share for each kind of market."""
    return tuple(_share(kind, [one for one in records if one["kind"] == kind], confidence) for kind in KINDS)


def _share(kind: Kind, records: Sequence[dict[str, Any]], confidence: float) -> Share:
    edge = sum(one["verdict"] == EDGE for one in records)
    if not records:
        return Share(kind, 0, 0, (0.0, 1.0), (0.0, 1.0))
    test = binomtest(edge, len(records))
    wilson, exact = (test.proportion_ci(confidence, method) for method in ("wilson", "exact"))
    return Share(
        kind, len(records), edge, (float(wilson.low), float(wilson.high)), (float(exact.low), float(exact.high))
    )


@dataclass
class HonestyRecord:
    """A folder of finished markets, held by one process.

    Parameters
    ----------
    folder : Path
    confidence : float
        Of the intervals.
    records : list of dict
        What :func:`quantlab.jobs.honesty.market_verdict.judge_market` gave, in the order of (seed, kind).
    """

    folder: Path
    confidence: float
    records: list[dict[str, Any]]

    def missing(self, wanted: Sequence[SyntheticMarket]) -> list[SyntheticMarket]:
        """Those that are not finished, in their order."""
        done = {(one["kind"], one["seed"]) for one in self.records}
        return [market for market in wanted if (market.kind, market.seed) not in done]

    def add(self, record: dict[str, Any]) -> None:
        """Keep one more market, and both shares as they are now."""
        self.records.append(record)
        self.records.sort(key=lambda one: (one["seed"], KINDS.index(one["kind"])))
        lines = (json.dumps(one, sort_keys=True, allow_nan=False) for one in self.records)
        write_text(self.folder / MARKETS_FILE, "".join(f"{line}\n" for line in lines))
        self.write_shares()

    def write_shares(self) -> None:
        """``honesty.json``, made of the markets that are there."""
        found = {one.kind: {"worlds": one.markets, "edge": one.edge} for one in self.shares}
        write_json(self.folder / SHARES_FILE, found)

    @property
    def shares(self) -> tuple[Share, ...]:
        """One share for each kind of market."""
        return shares(self.records, self.confidence)


@contextmanager
def open_record(folder: Path, measured_config: dict[str, Any], confidence: float) -> Iterator[HonestyRecord]:
    """The record in `folder`, a new one if there is none; no other process may open it meanwhile.

    Raises
    ------
    InstallationError
        If the folder cannot be written.
    ConfigError
        If another process holds it, or its markets are of another configuration or of other code.
    ArtifactError
        If it is damaged.
    """
    require_writable("job.folder", folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        remove_abandoned(folder)
        _check_same(
            folder / CONFIG_FILE,
            OmegaConf.to_yaml(OmegaConf.create(hide_secret_options(measured_config)), sort_keys=True),
        )
        _check_same(folder / CODE_FILE, json.dumps(code_and_packages(), indent=2, sort_keys=True) + "\n")
        record = HonestyRecord(folder, confidence, read_markets(folder / MARKETS_FILE))
        record.write_shares()  # a killed process may have written the one and not the other
        yield record


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ConfigError(
            f"nobody else measuring in {folder}", found="another process that does", fix="wait for it to end"
        ) from error
    finally:
        os.close(handle)  # also unlocks; so does the death of the process


def _check_same(path: Path, text: str) -> None:
    """Hold `text` against what the folder's first market was measured with; a folder without markets takes it."""
    if not (path.parent / MARKETS_FILE).is_file():
        write_text(path, text)
    elif not path.is_file() or path.read_text(encoding="utf-8") != text:
        raise ConfigError(
            f"the configuration and the code that {path.parent} has been measured with",
            found=f"another than in its {path.name}",
            fix="set job.folder to a new folder, or repeat the options of the first command on the first code",
        )


def read_markets(path: Path) -> list[dict[str, Any]]:
    """Every finished market of a file; none where there is no file.

    Raises
    ------
    ArtifactError
        If a line is not a market, or a market stands there twice.
    """
    if not path.is_file():
        return []
    try:
        records: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        names = [(one["kind"], one["seed"], one["verdict"]) for one in records]
        known = all(kind in KINDS and isinstance(verdict, str) for kind, _, verdict in names)
        whole = known and len({name[:2] for name in names}) == len(names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, type(error).__name__) from error
    if not whole:
        raise _damaged(path, "a market of no known kind, or one that stands there twice")
    return records


def _damaged(path: Path, found: str) -> ArtifactError:
    return ArtifactError(f"one finished market in every line of {path}", found=found, fix="restore it, or start anew")
