"""Facts about a fitted member on disk, known before any of it is loaded, wherever it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.core.ports import FeatureSource
from quantlab.core.shape import ANYTHING, NUMBER, TEXT, ListOf, MapOf
from quantlab.features.contract import FeatureContract
from quantlab.features.definitions import definitions_of, first_difference
from quantlab.learning.artifacts.golden_rows import Golden

#: Of the facts as they stand in a file.
FACTS_SHAPE = {
    "version": TEXT,
    "class_path": TEXT,
    "model_sha256": TEXT,
    "feature_names": ListOf(TEXT),
    "feature_fingerprint": TEXT,
    "feature_definitions": MapOf(TEXT),
    "parts": MapOf(ANYTHING),
}
#: Of a fitted ensemble as it stands in a file.
ENSEMBLE_SHAPE = {"rules": MapOf(ANYTHING), "names": ListOf(TEXT), "weights": ListOf(NUMBER), "temperature": NUMBER}


@dataclass(frozen=True)
class MemberFacts:
    """A member's native files, and the features that it may be asked about.

    Parameters
    ----------
    version : str
        Its name in messages.
    class_path : str
        ``module:name`` of the fitted member.
    model_sha256 : str
        Over names and hashes of the native files.
    feature_names, feature_fingerprint
        In column order; what the member may be asked about.
    feature_definitions : dict of str
        What the fingerprint is made of, see :mod:`quantlab.features.definitions`; may be empty.
    parts : dict of part to {rows, first, last}
        Rows and dates of fit, early stopping, calibration and test.
    """

    version: str
    class_path: str
    model_sha256: str
    feature_names: tuple[str, ...]
    feature_fingerprint: str
    feature_definitions: dict[str, str]
    parts: dict[str, Any]

    def golden(self, folder: Path) -> Golden:
        """The golden rows stored in `folder`.

        Raises
        ------
        ArtifactError
            If a file is missing or not such an array.
        """
        return Golden.load(folder, self.feature_names, self.feature_fingerprint)

    def require_contract(self, features: FeatureSource) -> None:
        """Return if `features` are the ones that the member was fitted on.

        Raises
        ------
        ContractError
            Naming the first name or, where both sides' are known, definition that differs.
        """
        require_features(self.feature_names, self.feature_fingerprint, self.feature_definitions, features)


def require_features(
    names: tuple[str, ...], fingerprint: str, definitions: Mapping[str, str], features: FeatureSource
) -> None:
    """Return if `features` are the ones that a stored member, run or bundle names.

    Parameters
    ----------
    names : tuple of str
        In column order.
    fingerprint : str
    definitions : dict of str
        See :mod:`quantlab.features.definitions`; may be empty.
    features : FeatureSource

    Raises
    ------
    ContractError
        Naming the first name or, where both sides' are known, definition that differs.
    """
    difference = first_difference(definitions, definitions_of(features))
    FeatureContract(names, fingerprint).require(tuple(features.names), features.fingerprint, difference)
