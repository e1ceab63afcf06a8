"""``job=models``: look into the registry of fitted members, and move what serves.

``job.action`` is one of ``list``, ``show``, ``verify``, ``register``, ``promote``, ``rollback``, ``shadow``,
``quarantine``, ``restore`` and ``recover``. ``job.version`` names one version, or by its stamp all that were
registered together; ``job.model`` narrows that to one member.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from quantlab.core.errors import ConfigError, QuantlabError
from quantlab.core.ports import FeatureSource
from quantlab.jobs.config.composition import build
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.output.latest import resolve_run
from quantlab.jobs.promotion.model_tables import facts_table, moves_table, versions_table
from quantlab.jobs.promotion.registration import register_run
from quantlab.learning.registry.names import check_version, split_version
from quantlab.learning.registry.store import Registry

_STAMP = re.compile(r"v?(\d{8})_?(\d{6})", re.ASCII)  # Hydra reads 20250316_120000 as one whole number


@dataclass(frozen=True)
class Request:
    """One request to the registry."""

    cfg: DictConfig
    registry: Registry
    features: FeatureSource
    console: Console

    @property
    def reason(self) -> str:
        return str(self.cfg.job.reason or "asked for with job=models")

    def versions(self) -> tuple[str, ...]:
        """The versions that ``job.version`` and ``job.model`` name.

        Raises
        ------
        ConfigError
            If they name none.
        """
        return choose_versions(self.registry.versions(), self.cfg.job.model, self.cfg.job.version)

    def only_version(self) -> str:
        """The one version that is named.

        Raises
        ------
        ConfigError
            If there are more.
        """
        found = self.versions()
        if len(found) != 1:
            raise ConfigError("one version", found=", ".join(found), fix="add job.model=... to choose one")
        return found[0]


def run(cfg: DictConfig) -> None:
    """Do one thing to the registry and print what is then there.

    Raises
    ------
    QuantlabError
        If it is refused; the command line turns it into one sentence and exit code 2.
    """
    action = ACTIONS.get(str(cfg.job.action))
    if action is None:
        raise ConfigError(
            f"job.action as one of {', '.join(ACTIONS)}", found=repr(cfg.job.action), fix="choose one of these"
        )
    action(Request(cfg, build(cfg.learning.registry), build(cfg.features), stdout_console()))


def choose_versions(known: tuple[str, ...], model: str | None, version: str | int | None) -> tuple[str, ...]:
    """Registered versions by full name, by stamp, or all of a model; newest last.

    Raises
    ------
    ConfigError
        If the name is no version's, or nothing of it is registered.

    Examples
    --------
    >>> known = ("lightgbm_v20250316_120000", "xgboost_v20250316_120000", "xgboost_v20250401_120000")
    >>> choose_versions(known, "xgboost", None)
    ('xgboost_v20250316_120000', 'xgboost_v20250401_120000')
    >>> choose_versions(known, None, "v20250316_120000")
    ('lightgbm_v20250316_120000', 'xgboost_v20250316_120000')
    """
    stamp = None if version is None else _STAMP.fullmatch(str(version))
    if version is not None and stamp is None:
        check_version(str(version))
    found = known
    if stamp is not None:
        found = tuple(name for name in found if split_version(name)[1] == "_".join(stamp.groups()))
    elif version is not None:
        found = tuple(name for name in found if name == version)
    if model is not None:
        found = tuple(name for name in found if split_version(name)[0] == model)
    if not found:
        wanted = " ".join(str(part) for part in (model, version) if part is not None) or "any version"
        raise ConfigError(
            f"{wanted} in the registry", found=f"{len(known)} other versions", fix="see job=models for what there is"
        )
    return found


def _list(request: Request) -> None:
    request.console.print(versions_table(request.registry))


def _show(request: Request) -> None:
    for version in request.versions():
        request.console.print(facts_table(version, request.registry))


def _verify(request: Request) -> None:
    refusals: list[QuantlabError] = []
    for version in request.versions():
        try:
            request.registry.verify(version)
            request.console.print(Text.assemble(("good", "green"), f" {version}"))
        except QuantlabError as error:
            refusals.append(error)
            request.console.print(Text.assemble(("refused", "red"), f" {version}"))
    if refusals:
        raise refusals[0]


def _register(request: Request) -> None:
    if request.cfg.job.from_run is None:
        raise ConfigError(
            "a finished run", found="none", fix="add job.from_run=latest or job.from_run=runs/EXPERIMENT/RUN"
        )
    run = resolve_run(request.cfg.job.from_run, request.cfg.runs_dir, option="job.from_run")
    for version in register_run(request.registry, run):
        request.console.print(f"registered {version}", highlight=False)


def _promote(request: Request) -> None:
    if request.cfg.job.version is None:
        raise ConfigError("a version to promote", found="none", fix="add job.version=...")
    before = request.registry.active()
    after = request.registry.promote(request.versions(), request.features, request.reason)
    request.console.print(moves_table(before, after))


def _rollback(request: Request) -> None:
    if request.cfg.job.model is not None or request.cfg.job.version is not None:
        raise ConfigError(
            "a rollback of the whole release",
            found="a model or version",
            fix="leave job.model and job.version out, or promote an earlier version",
        )
    before = request.registry.active()
    after = request.registry.rollback(request.features, request.reason)
    request.console.print(moves_table(before, after))


def _shadow(request: Request) -> None:
    request.registry.shadow(request.only_version(), request.reason)
    _list(request)


def _quarantine(request: Request) -> None:
    before = request.registry.active()
    after = request.registry.quarantine(request.only_version(), request.reason)
    request.console.print(moves_table(before, after))
    _list(request)


def _restore(request: Request) -> None:
    request.registry.restore(request.only_version(), request.reason)
    _list(request)


def _recover(request: Request) -> None:
    request.console.print(moves_table({}, request.registry.recover()))


ACTIONS: dict[str, Callable[[Request], None]] = {
    "list": _list,
    "show": _show,
    "verify": _verify,
    "register": _register,
    "promote": _promote,
    "rollback": _rollback,
    "shadow": _shadow,
    "quarantine": _quarantine,
    "restore": _restore,
    "recover": _recover,
}
