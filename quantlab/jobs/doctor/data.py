"""The doctor's check of the configured data: it loads and passes the quality gate."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from quantlab.core.clock import iso_utc
from quantlab.core.errors import QuantlabError
from quantlab.core.ports import HasFileChecks
from quantlab.data.quality.coverage import coverage
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.sections import history_cut
from quantlab.jobs.doctor.check import Check, Status, checked, shortened

_NAME = "data"


def check_data(cfg: DictConfig) -> Check:
    """Load the configured history, and say what a person should know about it.

    Holes, stops and late listings of a synthetic market are part of it: nothing that was found in anybody's data.
    """
    missing = OmegaConf.missing_keys(cfg.data)
    if missing:
        return Check(_NAME, Status.NOT_SET_UP, f"no value for {min(missing)}", f"add {min(missing)}=VALUE")
    try:
        source = build(cfg.data)
        refused = source.problems() if isinstance(source, HasFileChecks) else ()
        if refused:
            found = shortened([f"{error.expected}; found {error.found}" for error in refused])
            return Check(_NAME, Status.BROKEN, f"{len(refused)} refused: {found}", refused[0].fix)
        bars = history_cut(cfg).load(source)
    except QuantlabError as error:
        return Check(_NAME, Status.BROKEN, f"{error.expected}; found {error.found}", error.fix)
    report = coverage(bars)
    extent = (
        f"{len(report.symbols)} symbols x {report.n_bars} bars, {iso_utc(report.first_ms)} to {iso_utc(report.last_ms)}"
    )
    if source.synthetic:
        invented = "invented, with holes, stops and late listings that belong to it; data=parquet reads your own bars"
        return Check(_NAME, Status.OK, f"synthetic market: {extent}\n{invented}")
    return checked(_NAME, list(report.findings()), extent)
