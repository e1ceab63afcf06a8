"""How far a long piece of work is, for those who wait.

A fit of minutes tells, between its steps, the share of it that is done. Nothing comes back from there, so
what is told cannot change what is fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from quantlab.core.ports import FittedModel, Model, Stage
from quantlab.core.types import Dataset

#: Takes the share of a piece of work that is done, 0 .. 1, never falling.
Told = Callable[[float], None]

#: A piece of work advances its stage in so many parts: a power of two, so that their sum is exactly one.
_PARTS = 64


def nobody(share: float) -> None:
    """Nobody waits."""


@runtime_checkable
class Watched(Protocol):
    """A :class:`~quantlab.core.ports.Model` whose fit says how far it is."""

    def fit_watched(self, train: Dataset, valid: Dataset, told: Told) -> FittedModel:
        """As ``fit``, bit for bit; `told` hears the share of the work after every step."""
        ...


def fit_member(model: Model, train: Dataset, valid: Dataset, told: Told) -> FittedModel:
    """Fit any member; one that does not speak of its steps tells nothing before it is done."""
    if isinstance(model, Watched) and _speaks_for_fit(model):
        fitted = model.fit_watched(train, valid, told)
    else:
        fitted = model.fit(train, valid)
    told(1.0)
    return fitted


def _speaks_for_fit(model: Watched) -> bool:
    """Is ``fit_watched`` the newest definition? Whoever overrides ``fit`` alone means his own to be used."""
    newest = next(kind for kind in type(model).__mro__ if {"fit", "fit_watched"} & vars(kind).keys())
    return "fit_watched" in vars(newest)


def within(told: Told, start: float, stop: float) -> Told:
    """For a part of the work that leads from share `start` to share `stop` of the whole."""
    return lambda share: told(start + (stop - start) * share)


@dataclass
class Steps:
    """Many pieces of work as one stage: each advances it by one in all, however finely it tells.

    Parameters
    ----------
    stage : Stage
    given : dict of int to int
        By piece of work, how many 64ths of it the stage has seen.
    """

    stage: Stage
    given: dict[int, int] = field(default_factory=dict)

    def tell(self, piece: int, share: float) -> None:
        """`share` of a piece is done."""
        now, before = int(_PARTS * share), self.given.get(piece, 0)
        if now > before:
            self.given[piece] = now
            self.stage.advance((now - before) / _PARTS)
