"""Colours for a figure that stands alone, in a notebook: those of the tear sheet, from its own style sheet.

Figures carry *tones* in place of colours; the tear sheet's script maps them to the theme in use. Here the same
mapping is done once.
"""

from __future__ import annotations

import re
from functools import cache

import plotly.graph_objects as go

from quantlab.evaluation.report.html import page_asset

#: Of a filled area: what the tear sheet's script appends to a colour.
_FILL_OPACITY = "2e"
#: Of a shaded stretch, likewise.
_SHADE_OPACITY = "14"
_FONT = "system-ui, -apple-system, Segoe UI, Roboto, sans-serif"


@cache
def palette(*, dark: bool) -> dict[str, str]:
    """Tone -> colour, ``#rrggbb``."""
    sheet = page_asset("report/page.css")
    start = sheet.index(':root[data-theme="dark"]' if dark else ":root")
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", sheet[start : sheet.index("}", start)]))


def apply_theme(figure: go.Figure, *, title: str | None = None, dark: bool = False) -> go.Figure:
    """The same figure, coloured and framed; traces without a tone keep their colours.

    Parameters
    ----------
    figure : plotly Figure
        Changed in place.
    title : str, optional
        Plain text over it; a saved picture has no page around it.
    """
    colours = palette(dark=dark)
    for trace in figure.data:
        tone = (trace.meta or {}).get("tone")
        if tone is not None:
            _colour(trace, colours[tone])
    for shape in figure.layout.shapes:
        if shape.name is not None:  # its tone
            shape.fillcolor = f"{colours[shape.name]}{_SHADE_OPACITY}"
    lines = {"gridcolor": colours["grid"], "zerolinecolor": colours["line"], "linecolor": colours["line"]}
    framed = lines | {"automargin": True}  # a price of 0.000275 needs more room than 1,140
    figure.update_xaxes(**framed)
    figure.update_yaxes(**framed)
    # The modest height of the legend row stays free between title and plot.
    heading = None if title is None else {"text": title, "font": {"size": 16, "color": colours["ink"]}, "x": 0.01}
    figure.update_layout(
        template="none",
        title=heading,
        paper_bgcolor=colours["card"],
        plot_bgcolor=colours["card"],
        font={"family": _FONT, "size": 12, "color": colours["soft"]},
        hoverlabel={"bgcolor": colours["card"], "font": {"color": colours["ink"]}},
        margin={"l": 70, "r": 20, "t": 40 if title is None else 84, "b": 50},
    )
    return figure


def _colour(trace: go.Scatter, colour: str) -> None:
    for part in ("line", "marker"):
        if part in trace:
            trace[part]["color"] = colour
    if "fill" in trace and trace.fill:
        trace.fillcolor = f"{colour}{_FILL_OPACITY}"
