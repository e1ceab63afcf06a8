"""One way to save and load a member: on a member that is one number, read back wrongly on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pytest

from quantlab.core.arrays import Float32Array
from quantlab.core.errors import ArtifactError
from quantlab.features.contract import FeatureContract
from quantlab.learning.models.artifact import MemberCard
from quantlab.learning.models.native import NativeMember

CONTRACT = FeatureContract(("one", "two"), "of the tests")
GOLDEN = np.array([[0.25, 0.5], [0.75, 1.0]], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Number(NativeMember):
    """Says the same number of everything; `off` is added to what a file holds."""

    library: ClassVar[str] = "paper 1.0"
    model_file: ClassVar[str] = "number.txt"
    refusals: ClassVar[tuple[type[Exception], ...]] = (ValueError,)
    off: ClassVar[float] = 0.0

    number: float
    contract: FeatureContract = CONTRACT
    golden: Float32Array = field(default_factory=GOLDEN.copy)

    def payload(self) -> bytes:
        return repr(self.number).encode()

    @classmethod
    def read(cls, path: Path, card: MemberCard) -> Self:
        return cls(1.0 / (1.0 / float(path.read_text())) + cls.off, card.contract, card.golden())

    def prediction_threads(self) -> int:
        return 3

    def classify_golden(self) -> Float32Array:
        return np.full((len(self.golden), 3), self.number, dtype=np.float32)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    Number(0.375).save(tmp_path)
    loaded = Number.load(tmp_path)
    assert (loaded.number, loaded.contract) == (0.375, CONTRACT)
    assert np.array_equal(loaded.golden, GOLDEN)
    card = MemberCard.read(tmp_path)
    assert (card.library, card.file, card.threads) == ("paper 1.0", "number.txt", 3)
    assert (tmp_path / "number.txt").read_bytes() == b"0.375"


def test_saving_asks_for_every_bit_and_loading_for_a_millionth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Number(0.375).save(tmp_path)
    for off, loads in ((1e-7, True), (1e-3, False)):
        monkeypatch.setattr(Number, "off", off)
        with pytest.raises(ArtifactError, match="golden predictions"):
            Number(0.375).save(tmp_path / f"{off}")
        if loads:
            assert Number.load(tmp_path).number == 0.375 + off
        else:
            with pytest.raises(ArtifactError, match="golden predictions to 1e-06"):
                Number.load(tmp_path)


def test_what_the_library_refuses_is_said_and_what_else_breaks_is_not_hidden(tmp_path: Path) -> None:
    @dataclass(frozen=True, eq=False)
    class Wordy(Number):
        def payload(self) -> bytes:
            return b"many"

    with pytest.raises(ArtifactError, match=r"a model of paper 1\.0 in .*number\.txt; found a file that it refuses"):
        Wordy(0.375).save(tmp_path / "one")
    with pytest.raises(ZeroDivisionError):
        Number(0.0).save(tmp_path / "two")
