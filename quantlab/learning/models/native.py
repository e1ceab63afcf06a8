"""A fitted member on disk, whatever its library: one way to save it, and one to load it.

A member adds what only it knows: what its file holds, how that becomes a member again, and what its library says
of a file that is none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from quantlab.core.arrays import Float32Array
from quantlab.core.errors import ArtifactError
from quantlab.features.contract import FeatureContract
from quantlab.learning.models.artifact import MemberCard, write_member


class NativeMember(ABC):
    """Base of fitted members that a library's own file holds; for frozen dataclasses.

    Attributes
    ----------
    library, model_file : str
        Name and version of the library, and the file that it writes.
    refusals : tuple of exception classes
        What :meth:`read` raises for a file that is none.
    contract : FeatureContract
    golden : float32 (G, ...)
        Inputs that a reloaded member is compared on.
    """

    library: ClassVar[str]
    model_file: ClassVar[str]
    refusals: ClassVar[tuple[type[Exception], ...]]

    contract: FeatureContract
    golden: Float32Array

    def save(self, folder: Path) -> None:
        """Write the model's file and its card, load both again and compare golden predictions bit for bit.

        Raises
        ------
        ArtifactError
            If the reloaded member differs.
        """
        card = write_member(
            folder,
            library=self.library,
            file=self.model_file,
            payload=self.payload(),
            threads=self.prediction_threads(),
            contract=self.contract,
            golden_inputs=self.golden,
            golden_outputs=self.classify_golden(),
        )
        card.require_golden(self.load(folder).classify_golden(), tolerance=0.0)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ArtifactError
            If a file is missing or damaged, or golden predictions differ.
        """
        card = MemberCard.read(folder)
        path = folder / card.file
        try:
            fitted = cls.read(path, card)
            card.require_golden(fitted.classify_golden())
        except cls.refusals as error:
            raise ArtifactError(
                f"a model of {cls.library} in {path}",
                found=f"a file that it refuses ({type(error).__name__})",
                fix="fit the member again",
            ) from error
        return fitted

    @abstractmethod
    def payload(self) -> bytes:
        """The model as its file holds it."""

    @classmethod
    @abstractmethod
    def read(cls, path: Path, card: MemberCard) -> Self:
        """The member of a file whose hash was verified: no training data, no training state."""

    @abstractmethod
    def prediction_threads(self) -> int:
        """Threads that it predicts with."""

    @abstractmethod
    def classify_golden(self) -> Float32Array:
        """float32 (G, 3): its forecasts for the golden inputs."""
