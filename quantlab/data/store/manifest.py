"""The manifest of a collected dataset: what it holds, how far it reaches, and the hash of every file.

The manifest *is* the dataset: a file that it does not name is not read. Replacing it, which is one
rename, is how anything becomes part of the dataset. It carries its own checksum: trading rules and coverage
stand nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from quantlab.core.clock import iso_utc, parse_utc
from quantlab.core.errors import ArtifactError, DataError
from quantlab.core.files import to_json, write_text
from quantlab.core.fingerprint import fingerprint
from quantlab.data.series.spans import Spans, union

NAME = "manifest.json"
#: Markets that a dataset can be of; one without a word on it is of linear perpetuals.
LINEAR, SPOT = "linear", "spot"
_FORMAT = 2
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Part(NamedTuple):
    """Content of a file: ``kind`` (bars or funding) of one UTC ``day`` (2025-05-01)."""

    kind: str
    day: str


@dataclass(frozen=True)
class StoredFile:
    """One file; its name carries its hash, so that a changed day is another file.

    Parameters
    ----------
    sha256 : str
    rows, size : int
        Rows and bytes.
    """

    sha256: str
    rows: int
    size: int

    def path(self, root: Path, part: Part) -> Path:
        """Path of the file below `root`."""
        return root / part.kind / f"{part.day}-{self.sha256[:12]}.parquet"


@dataclass(frozen=True)
class SymbolFacts:
    """Facts about one symbol besides its bars.

    Parameters
    ----------
    market : str or None
        The name in ccxt's unified form, e.g. ``BTC/USDT:USDT``.
    rules : dict of str to float
        Fields of :class:`~quantlab.core.market.Instrument` that the exchange states; others are absent.
    covered : dict of kind to Spans
        Which time was asked for and answered; what is missing inside was missing at the source.
    """

    market: str | None = None
    rules: Mapping[str, float] = field(default_factory=dict)
    covered: Mapping[str, Spans] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """A dataset's table of contents.

    Parameters
    ----------
    exchange : str
    interval_ms : int
    symbols : dict of symbol to SymbolFacts
    files : dict of Part to StoredFile
    gaps : dict or None
        Per symbol, the bars missing inside its coverage; None until they were counted for these files.
    market : {"linear", "spot"}
        Linear perpetuals, or spot. Bars of two markets never meet in one dataset.
    """

    exchange: str
    interval_ms: int
    symbols: Mapping[str, SymbolFacts] = field(default_factory=dict)
    files: Mapping[Part, StoredFile] = field(default_factory=dict)
    gaps: Mapping[str, Any] | None = None
    market: str = LINEAR

    def days(self, kind: str) -> tuple[str, ...]:
        """The UTC days that have a file of `kind`, in order."""
        return tuple(sorted(part.day for part in self.files if part.kind == kind))

    def write(self, root: Path) -> None:
        """Commit: from here on the dataset is this."""
        body = _document(self)
        write_text(root / NAME, to_json({**body, "sha256": fingerprint(to_json(body))}))


def read_manifest(root: Path) -> Manifest:
    """The manifest of the dataset in `root`.

    Raises
    ------
    DataError
        If there is no dataset.
    ArtifactError
        If the manifest is damaged, or was changed by hand.
    """
    path = root / NAME
    if not path.is_file():
        raise DataError(
            f"a collected dataset in {root}",
            found="no manifest.json there",
            fix="collect one with job=collect, or set the folder's name right",
        )
    try:
        return _parse(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"a manifest of format {_FORMAT} in {path}",
            found=f"one that cannot be read ({type(error).__name__}: {error})",
            fix="restore it from a copy, or collect the dataset again into another folder",
        ) from error


def _document(manifest: Manifest) -> dict[str, Any]:
    files: dict[str, dict[str, Any]] = {}
    for part, stored in manifest.files.items():
        files.setdefault(part.kind, {})[part.day] = {
            "sha256": stored.sha256,
            "rows": stored.rows,
            "bytes": stored.size,
        }
    symbols = {
        name: {
            "market": facts.market,
            "rules": dict(facts.rules),
            "covered": {
                kind: [[iso_utc(start), iso_utc(end)] for start, end in spans] for kind, spans in facts.covered.items()
            },
        }
        for name, facts in manifest.symbols.items()
    }
    return {
        "format": _FORMAT,
        "exchange": manifest.exchange,
        "interval_ms": manifest.interval_ms,
        "market": manifest.market,
        "symbols": symbols,
        "files": files,
        "gaps": manifest.gaps,
    }


def _parse(document: dict[str, Any]) -> Manifest:
    if document["format"] != _FORMAT:
        raise ValueError(f"format {document['format']!r}")
    if document.pop("sha256") != fingerprint(to_json(document)):
        raise ValueError("its checksum does not hold")
    symbols = {
        name: SymbolFacts(
            market=facts["market"],
            rules={key: float(value) for key, value in facts["rules"].items()},
            covered={
                kind: union((parse_utc(start), parse_utc(end)) for start, end in spans)
                for kind, spans in facts["covered"].items()
            },
        )
        for name, facts in document["symbols"].items()
    }
    files = {
        Part(kind, day): StoredFile(entry["sha256"], int(entry["rows"]), int(entry["bytes"]))
        for kind, days in document["files"].items()
        for day, entry in days.items()
    }
    for part, stored in files.items():
        # Both become file names: nothing but a date and a hash may reach the file system.
        if not (part.kind.isalpha() and _DAY.fullmatch(part.day) and _SHA256.fullmatch(stored.sha256)):
            raise ValueError(f"{part} {stored.sha256!r}")
    exchange, interval_ms, gaps = str(document["exchange"]), int(document["interval_ms"]), document["gaps"]
    # Datasets made before there was a choice hold perpetuals.
    return Manifest(exchange, interval_ms, symbols, files, gaps, str(document.get("market", LINEAR)))
