"""One fitted member on disk: the library's own file, and a card that says what it is.

The card holds the file's sha256, which is compared before the library sees a byte (a damaged model
file can kill the process that loads it), and golden inputs with their outputs, which a reloaded member
must reproduce before it counts.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from quantlab.core.arrays import Float32Array
from quantlab.core.errors import ArtifactError
from quantlab.core.files import sha256_file, to_json, write_bytes, write_json
from quantlab.core.fingerprint import fingerprint
from quantlab.features.contract import FeatureContract

CARD_FILE = "member.json"
#: The card's key for the hash over its other values.
_CARD_HASH = "card_sha256"

#: exp() differs in its last bits between hosts; a wrong file is wrong by far more.
GOLDEN_TOLERANCE = 1e-6

_FIX = "fit the member again, or restore the folder from a backup"


@dataclass(frozen=True, eq=False)
class MemberCard:
    """Card that is written beside the native file.

    Parameters
    ----------
    library : str
        Name and version of the library that wrote the file.
    file, sha256 : str
        The native file and the hash of its bytes.
    threads : int
        Threads that the member predicts with.
    feature_names, feature_fingerprint
        The contract under which it was fitted.
    golden_inputs : lists of float, (G, F)
    golden_outputs : lists of float, (G, 3)
        Probabilities at the time of saving.
    """

    library: str
    file: str
    sha256: str
    threads: int
    feature_names: tuple[str, ...]
    feature_fingerprint: str
    golden_inputs: tuple[tuple[float, ...], ...]
    golden_outputs: tuple[tuple[float, ...], ...]

    @property
    def contract(self) -> FeatureContract:
        return FeatureContract(names=self.feature_names, fingerprint=self.feature_fingerprint)

    def golden(self) -> Float32Array:
        """float32 (G, F): the golden inputs."""
        return np.array(self.golden_inputs, dtype=np.float32)

    def require_golden(self, outputs: Float32Array, tolerance: float = GOLDEN_TOLERANCE) -> None:
        """Refuse a reloaded member whose golden outputs (G, 3) are off by more than `tolerance`.

        Raises
        ------
        ArtifactError
        """
        off = float(np.abs(outputs.astype(np.float64) - np.array(self.golden_outputs)).max())
        if not off <= tolerance:
            raise ArtifactError(
                f"a member that repeats its golden predictions to {tolerance:g}", found=f"{off:g} off", fix=_FIX
            )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the card and verify the native file against it.

        Raises
        ------
        ArtifactError
            If either file is missing or damaged.
        """
        text = _read(folder / CARD_FILE)
        try:
            content: dict[str, Any] = json.loads(text)
            as_written = to_json(content) == text
            if content.pop(_CARD_HASH) != fingerprint(content) or not as_written:
                raise ArtifactError(f"{folder / CARD_FILE} as it was written", found="an altered card", fix=_FIX)
            card = cls(**{name: _frozen(value) for name, value in content.items()})
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            raise ArtifactError(f"a member's card in {folder / CARD_FILE}", found=str(error), fix=_FIX) from error
        native = folder / card.file
        if Path(card.file).name != card.file or not native.is_file():
            raise ArtifactError(f"a model file {card.file!r} in {folder}", found="no such file", fix=_FIX)
        found = sha256_file(native)
        if found != card.sha256:
            raise ArtifactError(f"sha256 {card.sha256} of {native}", found=found, fix=_FIX)
        return card


def write_member(
    folder: Path,
    *,
    library: str,
    file: str,
    payload: bytes,
    threads: int,
    contract: FeatureContract,
    golden_inputs: Float32Array,
    golden_outputs: Float32Array,
) -> MemberCard:
    """Write native file and card, each whole or not at all; the card last."""
    write_bytes(folder / file, payload)
    card = MemberCard(
        library=library,
        file=file,
        sha256=sha256_file(folder / file),
        threads=threads,
        feature_names=contract.names,
        feature_fingerprint=contract.fingerprint,
        golden_inputs=_frozen(golden_inputs.tolist()),
        golden_outputs=_frozen(golden_outputs.tolist()),
    )
    content = json.loads(to_json(asdict(card)))
    write_json(folder / CARD_FILE, {**content, _CARD_HASH: fingerprint(content)})
    return card


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"a readable {path}", found=str(error), fix=_FIX) from error


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
