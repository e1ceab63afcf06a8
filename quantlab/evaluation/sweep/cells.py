"""One cell of a sweep's maps: a Sharpe ratio whose colour is its sign and strength."""

from __future__ import annotations

import numpy as np

from quantlab.evaluation.report.html import Html, number, tag


def cell(value: float, scale: float, **attributes: object) -> Html:
    """A table cell; NaN is shown as a dash.

    Parameters
    ----------
    value : float
    scale : float
        Size, > 0, that is drawn in full strength.
    """
    if not np.isfinite(value):
        return tag("td", number(None), class_="cell flat")
    kind = "gain" if value > 0 else "loss" if value < 0 else "flat"
    style = f"--strength:{min(abs(value) / scale, 1.0):.3f}"
    return tag("td", number(float(value), "+.2f"), class_=f"cell {kind}", style=style, **attributes)


def known(value: float) -> float | None:
    """The value, None where it is not finite."""
    return float(value) if np.isfinite(value) else None
