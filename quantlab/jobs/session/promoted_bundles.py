"""Promoted bundles as releases of a running session, which follows the pointer to the active one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.trust import Trust
from quantlab.execution.session.drift_watch import DriftWatch
from quantlab.execution.session.handover import Release
from quantlab.features.drift_reference import DriftReference
from quantlab.jobs.promotion.active_bundle import POINTER, bundle_folder, last_activation, require_manifest
from quantlab.jobs.promotion.bundle import Bundle, load_bundle
from quantlab.jobs.session.session_strategy import PaperStrategy, strategy_of


class PromotedBundles:
    """Releases of a session that follows a pointer; implements :class:`quantlab.core.ports.ReleaseSource`.

    Parameters
    ----------
    root : Path
        Folder of the bundles and their pointer.
    running : Bundle
        That the session is started with.
    history : Bars
        Of the market that it trades.
    watch : callable
        Takes the features in training; gives a watch over their drift.
    trust : Trust
        Classes that a bundle may name beside quantlab's own.
    common_terms : dict
        What the session journals beside the terms of every bundle.
    """

    def __init__(
        self,
        root: Path,
        running: Bundle,
        history: Bars,
        watch: Callable[[DriftReference], DriftWatch],
        trust: Trust,
        common_terms: Mapping[str, Any],
    ) -> None:
        self.name = running.folder.name
        self._trust, self._common_terms = trust, common_terms
        self._root, self._running, self._history, self._watch = root, running, history, watch
        self._last_pointer: object = None

    def newer(self) -> Release | None:
        """The active bundle, verified as a whole, if the pointer was moved since the last look.

        Raises
        ------
        QuantlabError
            If pointer or bundle cannot be trusted, or the bundle is for other features, symbols or bars.
        """
        pointer = _file_identity(self._root / POINTER)
        if pointer == self._last_pointer:
            return None
        first, self._last_pointer = self._last_pointer is None, pointer
        move = last_activation(self._root)
        if first and move.bundle == self.name:
            return None
        folder = bundle_folder(self._root, move.bundle)
        require_manifest(folder, move)
        bundle = load_bundle(folder, self._trust)
        chosen = strategy_of(bundle)
        self._require_fit(chosen, bundle)
        drift = None if bundle.drift is None else self._watch(bundle.drift)
        return Release(folder.name, bundle.strategy, chosen.terms(self._common_terms), move.reason, drift)

    def _require_fit(self, chosen: PaperStrategy, bundle: Bundle) -> None:
        chosen.require_market(self._history)
        ours, theirs = self._running.features.fingerprint, bundle.features.fingerprint
        if ours != theirs:
            raise ContractError(
                f"a bundle on the features {ours}, with which the session began",
                found=theirs,
                fix="begin a session in a new folder for it",
            )


def _file_identity(path: Path) -> object:
    """Return another value whenever the file was replaced; its time alone may stand still."""
    try:
        found = path.stat()
    except OSError as error:
        return type(error)
    return found.st_ino, found.st_mtime_ns, found.st_size
