"""Facts of a finished run, read once from its manifest and its metrics."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quantlab.core.errors import ArtifactError
from quantlab.core.redaction import hide_named

#: Settings that every run has of its own, that a column shows already, or that change no result.
_NO_DIFFERENCE = re.compile(r"[+~]*(experiment|job|runs_dir|cache_dir|workers|hydra[./][\w./]*)(=.*)?", re.DOTALL)
#: The job of a run of before manifests named it.
_ENTRY = re.compile(rb"^  entry: quantlab\.jobs\.[\w.]*?(\w+)\.run$", re.MULTILINE)
_DAY = 10


@dataclass(frozen=True)
class RunRecord:
    """A line of the table of runs.

    Parameters
    ----------
    folder : Path
    experiment, job : str
        ``?`` where an older run does not say it.
    started, finished : str
        ISO 8601, UTC; empty where unknown.
    verdict : str
    sharpe : float or None
        Annual, of the evidence: the objective.
    deflated : float or None
        Deflated Sharpe ratio, a probability; with one trial it is the probabilistic one.
    trials : int or None
        That it is deflated by.
    total_return, max_drawdown : float or None
        Fractions.
    trades : int or None
        Closed ones.
    source : str
        Chosen option of ``data``, else ``synthetic`` or ``real``.
    market : str
        Symbols and bars in short: ``4 x 5m``.
    first, last : str
        Days that were simulated, ISO 8601.
    overrides : tuple of str or None
        As typed, secrets hidden; None where an older run does not say it.
    multirun : str or None
        Folder of the multirun that it belongs to.
    data_fingerprint : str
    page : bool
        It has a ``report.html``.
    wrong : str
        Reason why it cannot be read; empty for a good one.
    """

    folder: Path
    experiment: str
    job: str = "?"
    started: str = ""
    finished: str = ""
    verdict: str = ""
    sharpe: float | None = None
    deflated: float | None = None
    trials: int | None = None
    total_return: float | None = None
    max_drawdown: float | None = None
    trades: int | None = None
    source: str = ""
    market: str = ""
    first: str = ""
    last: str = ""
    overrides: tuple[str, ...] | None = None
    multirun: str | None = None
    data_fingerprint: str = ""
    page: bool = False
    wrong: str = ""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def settings(self) -> tuple[str, ...] | None:
        """Overrides that can make a difference to another run of the same experiment and job."""
        if self.overrides is None:
            return None
        return tuple(text for text in self.overrides if not _NO_DIFFERENCE.fullmatch(text))

    @property
    def span(self) -> str:
        """First and last simulated day."""
        return f"{self.first[:_DAY]} to {self.last[:_DAY]}" if self.first else ""

    def as_dict(self) -> dict[str, Any]:
        """Strict JSON."""
        overrides = None if self.overrides is None else list(self.overrides)
        return {**asdict(self), "folder": str(self.folder), "overrides": overrides}


def read_record(folder: Path) -> RunRecord:
    """Read a run's facts; one that cannot be read says what is wrong with it.

    Nothing is verified here: opening or promoting a run holds its files against their hashes.
    """
    try:
        return _record(folder, _json(folder / "manifest.json"), _json(folder / "metrics.json"))
    except ArtifactError as error:
        return RunRecord(folder, folder.parent.name, wrong=f"{error.expected}: {error.found}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return RunRecord(
            folder, folder.parent.name, wrong=f"other content than a run's ({type(error).__name__}: {error})"
        )


def _json(path: Path) -> dict[str, Any]:
    fix = "run it again, or remove the folder"
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ArtifactError(path.name, found=error.strerror or type(error).__name__, fix=fix) from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(path.name, found="no JSON", fix=fix) from error
    if not isinstance(content, dict):
        raise ArtifactError(path.name, found="no JSON object", fix=fix)
    return content


def _record(folder: Path, manifest: dict[str, Any], metrics: dict[str, Any]) -> RunRecord:
    evidence, judgement, period = metrics["evidence"], metrics["judgement"], metrics["period"]
    overrides, multirun = manifest.get("overrides"), manifest.get("multirun")
    return RunRecord(
        folder=folder,
        experiment=folder.parent.name,
        job=str(manifest.get("job") or _old_job(folder)),
        started=str(manifest["started"]),
        finished=str(manifest["finished"]),
        verdict=str(metrics["verdict"]),
        sharpe=_number(evidence["sharpe"]),
        deflated=_number(judgement["dsr"]),
        trials=int(judgement["trials"]),
        total_return=_number(evidence["total_return"]),
        max_drawdown=_number(evidence["max_drawdown"]),
        trades=int(evidence["trades"]),
        source=str(manifest.get("data") or ("synthetic" if metrics["synthetic"] else "real")),
        market=_market(evidence, manifest.get("market")),
        first=str(period["first"]),
        last=str(period["last"]),
        overrides=None if overrides is None else tuple(hide_named(str(text)) for text in overrides),
        multirun=None if multirun is None else str(multirun["folder"]),
        data_fingerprint=str(manifest.get("data_fingerprint", "")),
        page=(folder / "report.html").is_file(),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _market(evidence: dict[str, Any], market: dict[str, Any] | None) -> str:
    """Number of symbols, and the length of a bar where the manifest says it."""
    interval = "" if market is None else f" x {interval_text(int(market['interval_ms']))}"
    return f"{evidence['symbols']}{interval}"


def interval_text(interval_ms: int) -> str:
    """A bar's length in short.

    Examples
    --------
    >>> [interval_text(ms) for ms in (300_000, 3_600_000, 86_400_000, 1_500)]
    ['5m', '1h', '1d', '1500ms']
    """
    for unit, length in (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if interval_ms % length == 0:
            return f"{interval_ms // length}{unit}"
    return f"{interval_ms}ms"


def _old_job(folder: Path) -> str:
    """The job by the run's configuration; ``?`` where that cannot be read."""
    try:
        found = _ENTRY.search((folder / "config.yaml").read_bytes())
    except OSError:
        return "?"
    return "?" if found is None else found.group(1).decode()
